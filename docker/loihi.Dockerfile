# For a Loihi host: the image of docker/Dockerfile with your own lava-loihi wheel, which Intel gives to members of its
# research community (INRC) and which is never shipped here. Put it into docker/loihi/ before you build.
ARG SPIKEPORT=spikeport:latest
FROM ${SPIKEPORT}
USER 0
COPY docker/loihi/ /tmp/loihi/
# The wheel's version is the one that its owner has.
# hadolint ignore=DL3013
RUN set -- /tmp/loihi/*.whl \
 && if [ ! -e "$1" ]; then \
      echo "docker/loihi/ holds no .whl: copy your lava-loihi wheel there, and see docker/README.md" >&2; exit 1; fi \
 && pip install --no-cache-dir "$@" \
 && rm -r /tmp/loihi
USER 10001
