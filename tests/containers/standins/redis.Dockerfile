# Stands in for the published Redis image: Debian's package, the same user, folder and command line.
FROM python:3.11-slim
RUN apt-get update && apt-get install --yes --no-install-recommends redis-server && rm -rf /var/lib/apt/lists/*
RUN install --directory --owner=999 --group=999 /data
WORKDIR /data
LABEL cxr.stand-in="Debian's redis-server"
CMD ["redis-server"]
