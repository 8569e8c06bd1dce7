# The server in an image: any user id, a read-only root, data in /data. See docs/docker.md.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
RUN apt-get update && apt-get install --yes --no-install-recommends g++
# hnswlib compiles itself for the machine it is built on unless told not to; an image runs elsewhere.
# Its setup.py takes the processor from the compiler's flags, C++ or C by the version of setuptools.
ARG MARCH=
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY docs/guide.md docs/guide.zh.md ./docs/
COPY vecdb ./vecdb
RUN case "${MARCH:-$(uname -m)}" in \
        x86_64) march=x86-64-v3 ;; \
        aarch64) march=armv8-a ;; \
        *) march="${MARCH:?name a processor for this machine}" ;; \
    esac \
    && export HNSWLIB_NO_NATIVE=1 CFLAGS="-O3 -march=$march" CXXFLAGS="-O3 -march=$march" \
    && python -m venv /opt/vecdb \
    && /opt/vecdb/bin/pip install --no-cache-dir '.[server]'

FROM ${PYTHON_IMAGE}
# hnswlib is built with OpenMP.
RUN apt-get update && apt-get install --yes --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /opt/vecdb /opt/vecdb
ENV PATH=/opt/vecdb/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# Whatever user id the container is given may write a new volume.
RUN mkdir /data && chmod 0777 /data
VOLUME /data
USER 65532:65532
EXPOSE 50051
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["vecdb", "healthcheck", "--address", "127.0.0.1:50051"]
CMD ["vecdb", "serve", "--data", "/data", "--insecure", "--address", "0.0.0.0:50051"]
