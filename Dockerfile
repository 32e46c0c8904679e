# The one image of AOS: operator, gateway, CLI and the programs of the examples.
# A tag is moved, a digest is not: this is 3.13.15 on Debian trixie. `docker buildx imagetools inspect python:3.13-slim` tells the newest.
ARG BASE=docker.io/library/python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

# What builds and installs; nothing of it stays in the image. The two secrets are optional: the machine's own pip
# configuration and certificate authorities, for builders that reach the package index only through them.
FROM ${BASE} AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY hack/image/build.lock /build/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/secrets/ca.crt \
    python3 -m venv /build/tools && python3 -m venv --without-pip /opt/aos/venv \
    && /build/tools/bin/pip install --quiet --require-hashes --requirement /build/build.lock

# What AOS depends on. In a stage of its own: older buildah gives a mounted stage without its steps when these come from the cache.
FROM tools AS dependencies
COPY requirements.lock /build/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/run/secrets/ca.crt \
    /build/tools/bin/pip --python /opt/aos/venv/bin/python install --quiet --no-compile --require-hashes --only-binary=:all: \
        --requirement /build/requirements.lock \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/aos/venv/lib

# AOS itself, installed into a folder that is laid over the environment below.
FROM tools AS package
COPY pyproject.toml README.md LICENSE /build/source/
COPY operator /build/source/operator
COPY examples /build/staged/examples
RUN /build/tools/bin/pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir /build/wheels /build/source \
    && /build/tools/bin/pip --python /opt/aos/venv/bin/python install --quiet --no-compile --no-index --no-deps \
        --prefix /build/staged/venv /build/wheels/*.whl \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /build/staged

FROM ${BASE}
# This layer changes with requirements.lock alone, so that a change of code rebuilds in seconds.
COPY --from=dependencies /opt/aos/venv /opt/aos/venv
COPY --from=package /build/staged/ /opt/aos/
# Nothing is written at run time: the modules are compiled, and the root file system may be read-only.
ENV PATH=/opt/aos/venv/bin:/usr/local/bin:/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /opt/aos
ENTRYPOINT ["aos"]
