# Stands in for tensorflow/serving: the project's embedded model server under the binary's name, which takes the same
# flags, configuration files and calls.
ARG EXPORT_IMAGE
FROM ${EXPORT_IMAGE}
USER 0
RUN printf '#!/bin/sh\nexec cxr model-server --host=0.0.0.0 "$@"\n' > /usr/bin/tensorflow_model_server \
    && chmod 755 /usr/bin/tensorflow_model_server
LABEL cxr.stand-in="the project's embedded model server"
