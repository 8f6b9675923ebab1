# The gateway as an image. The version of the base is pinned here, everything else in config/requirements.lock.
FROM python:3.13.9-slim-bookworm

# the user that runs it, and the folder of its outbox
RUN useradd --uid 10001 --create-home pixeltwin \
 && install -d -o pixeltwin -g pixeltwin -m 0700 /data

WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
COPY config/requirements.lock config/requirements.lock
COPY src src

# the same two steps as in the README
RUN pip install --no-cache-dir -r config/requirements.lock \
 && pip install --no-cache-dir --no-deps .

USER 10001
VOLUME /data
EXPOSE 8080

HEALTHCHECK --interval=10s --timeout=3s --start-period=15s \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8090/livez', timeout=2)"]

# /config/pixeltwin.yaml: your file, with `listen: 0.0.0.0:8080` and `outbox: { kind: sqlite, path: /data/outbox.db }`
CMD ["pixeltwin", "run", "-c", "/config/pixeltwin.yaml"]
