"""Past one machine: sources split over processes, Ray, shards that become a gallery.

Gives ``partition`` and the Ray driver.
"""
