# Stands in for the published Prometheus image: Debian's package, the same user, folder and entry point.
FROM python:3.11-slim
RUN apt-get update && apt-get install --yes --no-install-recommends prometheus wget && rm -rf /var/lib/apt/lists/*
RUN install --directory --owner=65534 --group=65534 /prometheus
WORKDIR /prometheus
USER 65534:65534
LABEL cxr.stand-in="Debian's prometheus"
ENTRYPOINT ["/bin/prometheus"]
