FROM debian
CMD ["python", "-m", "app"]
CMD python -m app "$@"
CMD
CMD []
ENTRYPOINT ["/entry"]
ENTRYPOINT exec /entry
entrypoint
HEALTHCHECK NONE
HEALTHCHECK CMD curl -f http://localhost/ || exit 1
HEALTHCHECK --interval=5m --timeout=3s --start-period=1m30s --start-interval=500ms --retries=3 CMD ["/check", "-q"]
healthcheck --interval=0s cmd	true
ONBUILD COPY --chown=1 . /app
ONBUILD   RUN --mount=type=cache,target=/c make
onbuild env A=$B
