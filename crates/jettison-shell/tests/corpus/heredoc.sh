set -euo pipefail
# the packages
apt-get update
apt-get install -y --no-install-recommends \
  gcc \
  libpq-dev
cat > /etc/pip.conf <<CONF
[global]
index-url = https://${USER_NAME}:$(cat /run/secrets/token)@pypi.example/simple
CONF
if [ "$DEV" = 1 ]; then
  pip install -r requirements-dev.txt
else
  pip install -r requirements.txt || { echo "no luck" >&2; exit 1; }
fi
python3 - <<'PY'
import sys; print("it's", sys.version)
PY
bash -c "cd /tmp && curl -fsSL https://example.org/install.sh | sh -s -- --yes" && rm -rf /var/lib/apt/lists/*
