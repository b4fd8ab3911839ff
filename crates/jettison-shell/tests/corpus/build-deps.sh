set -ex \
    && apk add --no-cache --virtual .build-deps gcc musl-dev=1.2.5-r0 postgresql-dev \
    && python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir -r requirements.txt \
    && runDeps="$(scanelf --needed --nobanner --recursive /opt/venv \
        | awk '{ gsub(/,/, "\nso:", $2); print "so:" $2 }' \
        | sort -u | xargs -r apk info --installed | sort -u)" \
    && apk add --virtual .rundeps $runDeps \
    && apk del .build-deps
