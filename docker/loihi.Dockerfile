# spikeport with your own lava-loihi, for a host of Loihi chips. Intel gives that wheel to members of its research community; it is never
# shipped with spikeport, and an image that holds it must not be passed on. The build context is the folder with the wheel, nothing else:
#   docker build -f docker/loihi.Dockerfile -t spikeport-loihi docker/loihi
ARG SPIKEPORT=spikeport:0.1.0
FROM ${SPIKEPORT}
USER 0
COPY . /wheels/
# The packages that are there stay as they are, or pip says what the wheel needs.
RUN set -- /wheels/lava_loihi-*.whl \
 && if [ ! -f "$1" ] || [ "$#" != 1 ]; then \
      echo "NO WHEEL: the build context must hold one file lava_loihi-VERSION-*.whl, and there is none, or several." >&2; \
      echo "Put the wheel that Intel gave you into docker/loihi and build with that folder as the context." >&2; exit 1; fi \
 && pip --python /opt/spikeport/bin/python freeze --exclude spikeport > /tmp/installed.txt \
 && pip --python /opt/spikeport/bin/python install --no-cache-dir -c /tmp/installed.txt "$1" \
 && rm /tmp/installed.txt
USER 10001
