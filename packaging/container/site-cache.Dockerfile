# A cache of registries for a site, on the image of packaging/container/Dockerfile. From the directory of the source:
#
#     docker build --tag tartlet-site-cache --file packaging/container/site-cache.Dockerfile .
#
# docs/guide/site-cache.md says how it is used. Other registries: give the whole command, `serve …`, to `docker run`.
FROM tartlet

# All that it keeps is in /data. Plain HTTP for a network of one's own; --tls-cert, --tls-key and --htpasswd close it.
CMD ["serve", "--listen", "0.0.0.0:8221", "--open", "--data", "/data/cache", "--proxy", "ghcr.io"]
