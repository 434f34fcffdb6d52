# Model versions as an image: what k8s/ copies into the model servers' pods, whole and before they start.
#
#   docker build --file export/model.Dockerfile --tag cxr-model:1 export                               # the demo model
#   docker build --file export/model.Dockerfile --target versions --tag cxr-model:2 models/densenet    # a folder with 1/ and 2/
#
# Put every version into it that may be asked for: during a canary the old one and the new one.

ARG EXPORT_TAG=0.1.0
ARG BUSYBOX_TAG=1.37

FROM busybox:${BUSYBOX_TAG} AS versions
COPY . /models/densenet
USER 1000:1000

FROM cxr-export:${EXPORT_TAG} AS export
RUN ["cxr", "publish-model", "/models/densenet"]

FROM busybox:${BUSYBOX_TAG}
COPY --from=export /models /models
USER 1000:1000
