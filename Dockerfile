# The page in a container, with all it needs to run without a network:
#   docker build -t unifex . && docker run -p 127.0.0.1:7860:7860 -v unifex:/data unifex
# A GPU's torch in place of the CPU's: --build-arg TORCH_INDEX=https://pypi.org/simple
FROM python:3.12-slim

# Galleries, models, what is compiled and what the hub gave lie in the volume.
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONUNBUFFERED=1 \
    UNIFEX_HOME=/data HF_HOME=/data/hub
RUN useradd --uid 1000 --create-home unifex && install -d -o unifex -g unifex /data

WORKDIR /app
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY requirements.txt ./
RUN pip install --extra-index-url "$TORCH_INDEX" -r requirements.txt
COPY app.py LICENSE ./
COPY assets assets
COPY unifex unifex
RUN python -m compileall -q unifex

USER unifex
VOLUME /data
EXPOSE 7860
# As Ctrl+C: Python as a container's first process does not hear SIGTERM.
STOPSIGNAL SIGINT
# Asked from within, where /health answers, and past whatever proxy is set.
HEALTHCHECK --interval=30s --timeout=10s --start-period=120s CMD ["python", "-c", "import http.client, os, urllib.parse as u; server = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('UNIFEX_PORT', 7860))); server.request('GET', '/health?token=' + u.quote(os.environ.get('UNIFEX_HEALTH_TOKEN', ''))); raise SystemExit(server.getresponse().status != 200)"]
# On every address of the container's own; -p says who reaches it.
CMD ["python", "app.py", "--host", "0.0.0.0"]
