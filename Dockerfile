# thalweg on a CPU. Build: docker build -t thalweg .   Run: docker run --rm -v "$PWD:/home/photos" thalweg train food
FROM python:3.12-slim

WORKDIR /thalweg
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
# torch first and from its own index: the default one brings gigabytes of CUDA.
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' constraints.txt)"
RUN pip install --no-cache-dir --constraint constraints.txt ".[export,pretrained]"

# The folder that is mounted belongs to anybody; the cache of photos and kernels lies in it, and outlives the container.
ENV THALWEG_CACHE=/home/photos/.thalweg-cache
WORKDIR /home/photos
ENTRYPOINT ["thalweg"]
CMD ["--help"]
