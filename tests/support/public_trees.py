"""Public data sets as miniature trees of exactly the shape that upstream documents."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.drawing import encoded, picture

M4D = (
    "img_path,label\nproducts-10k/train/1.jpg,0\nproducts-10k/train/2.jpg,0\n"
    "google_landmark_recognition_2021/train/a/b/c/abc1.jpg,1\ndeepfashion/train/x/id_1/a.jpg,2\n"
    "stanford_cars/cars_train/00001.jpg,3\n"
)


COCO = {
    "images": [{"id": 7, "file_name": "f.jpg"}],
    "annotations": [
        {"image_id": 7, "category_id": 50, "bbox": [10, 20, 100, 50]},
        {"image_id": 7, "category_id": 51, "bbox": [0, 0, 160, 160]},
    ],
}


DF2 = {
    "source": "shop", "pair_id": 9,
    "item1": {"style": 1, "bounding_box": [10, 10, 90, 100]},
    "item2": {"style": 0, "bounding_box": [0, 0, 50, 50]},
}  # fmt: skip


# For each set: its files (text or JSON), and the (path, label) that it must give.
TREES: dict[str, tuple[dict[str, object], list[tuple[str, str]]]] = {
    "m4d_35k": (
        {"m4d-35k_train.csv": M4D},
        [
            ("products-10k/train/1.jpg", "0"), ("products-10k/train/2.jpg", "0"),
            ("google_landmark_recognition_2021/train/a/b/c/abc1.jpg", "1"), ("deepfashion/train/x/id_1/a.jpg", "2"),
            ("stanford_cars/cars_train/00001.jpg", "3"),
        ],
    ),
    "products_10k": (
        {"products-10k/train.csv": "name,class,group\n1.jpg,4,1\n2.jpg,5,1\n"},
        [("products-10k/train/1.jpg", "4"), ("products-10k/train/2.jpg", "5")],
    ),
    "gldv2": (
        {"google_landmark_recognition_2021/train.csv": "id,landmark_id\nabc1,77\n"},
        [("google_landmark_recognition_2021/train/a/b/c/abc1.jpg", "77")],
    ),
    "deep_fashion": (
        {"deepfashion/deepfashion_train.json": {"DRESSES": {"id_1": ["train/x/id_1/a.jpg", "train/x/id_1/b.jpg"]}}},
        [("deepfashion/train/x/id_1/a.jpg", "id_1"), ("deepfashion/train/x/id_1/b.jpg", "id_1")],
    ),
    "met_art": (
        {"met_dataset/ground_truth/MET_database.json": [{"id": 3, "path": "3/0.jpg"}]},
        [("met_dataset/MET/3/0.jpg", "3")],
    ),
    "shopee": (
        {"shopee/train.csv": "posting_id,image,image_phash,title,label_group\nt1,a.jpg,9,\"Tea, green\",249\n"},
        [("shopee/train_images/a.jpg", "249")],
    ),
    "hm": (
        {"hm_personalized_fashion/articles.csv": "article_id,product_code,prod_name\n0108775015,0108775,Top\n"},
        [("hm_personalized_fashion/images/010/0108775015.jpg", "0108775")],
    ),
    "rp2k": ({"rp2k/train.csv": "img_path,img_id\ncola/1.jpg,12\n"}, [("rp2k/train/cola/1.jpg", "12")]),
    "sop": (
        {"stanford_online_products/Ebay_train.txt":
            "image_id class_id super_class_id path\n1 5 2 bicycle_final/1_0.JPG\n"},
        [("stanford_online_products/bicycle_final/1_0.JPG", "5")],
    ),
    "fashion200k": (
        {"fashion200k/fashion200k_train.csv": "img_path,img_id\nwomen/dresses/1/1_0.jpeg,31\n"},
        [("fashion200k/women/dresses/1/1_0.jpeg", "31")],
    ),
    "food_rec22": (
        {"fr22_train_v2/annotations.json": COCO},
        [("fr22_train_v2/images/f.jpg#10,20,110,70", "50"), ("fr22_train_v2/images/f.jpg#0,0,160,160", "51")],
    ),
    "stanford_cars": (
        {"stanford_cars/sc_train.csv": "x1,y1,x2,y2,Label,image\n1,2,3,4,Audi TT red,00001.jpg\n"},
        [("stanford_cars/cars_train/00001.jpg", "Audi TT red")],
    ),
    "deep_fashion2": (
        {"deep_fashion2/annos/000001.json": DF2},
        [("deep_fashion2/image/000001.jpg#10,10,90,100", "9_1")],
    ),
    "food101": (
        {"food-101/meta/test.json": {"pizza": ["pizza/12"], "ramen": ["ramen/3"]}},
        [("food-101/images/pizza/12.jpg", "pizza"), ("food-101/images/ramen/3.jpg", "ramen")],
    ),
    "furniture180": (
        {"furniture_180/furniture180_train.csv": "img_path,label\nbar_stool/1.webp,1\n"},
        [("furniture_180/bar_stool/1.webp", "1")],
    ),
    "storefronts146": (
        {"storefronts_146/storefronts146_train.csv": "img_path,label\nzara/1.jpg,4\n"},
        [("storefronts_146/zara/1.jpg", "4")],
    ),
}  # fmt: skip


def write(root: Path, *keys: str) -> Path:
    """The miniature trees of some sets below one data folder, with a picture for every path."""
    for number, key in enumerate(keys):
        files, items = TREES[key]
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        for view, (path, _) in enumerate(items):
            file = root / path.partition("#")[0]
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                format = "WEBP" if file.suffix == ".webp" else "JPEG"
                file.write_bytes(encoded(picture("shapes/disc", 10 * number + view), format))
    return root
