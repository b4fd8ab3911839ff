# Moves Debian's Python to /usr/local, and makes it install where an upstream one does. Its headers come alone: the package
# that has them would bring those of the C library, which the slim images have not.
set -eu
version=$(basename /usr/lib/python3.*)
version=${version#python}
local=/usr/local/lib/python$version

rm -rf "$local"
mkdir -p /usr/local/bin /usr/local/lib /usr/local/include
mv "/usr/lib/python$version" /usr/local/lib/
mv "/usr/bin/python$version" /usr/local/bin/
apt-get update
cd /tmp
apt-get download "libpython$version-dev"
dpkg-deb --extract "libpython$version-dev"_*.deb headers
mv "headers/usr/include/python$version" /usr/local/include/
cp -a headers/usr/include/. /usr/include/
rm -rf headers ./*.deb /var/lib/apt/lists/*

rm -f /usr/bin/python3 "$local/EXTERNALLY-MANAGED"
ln -s "python$version" /usr/local/bin/python3
ln -s "python$version" /usr/local/bin/python

sed -i "/DEB_PYTHON_INSTALL_LAYOUT/s/'posix_local'/'posix_prefix'/; s/prefix_scheme = 'posix_local'/prefix_scheme = 'posix_prefix'/" \
    "$local/sysconfig/__init__.py"
# The `site` module that is frozen into the interpreter looks for the directory under Debian's name.
mkdir "$local/site-packages"
ln -s site-packages "$local/dist-packages"
for wheel in /usr/share/python-wheels/pip-*.whl; do
    python3 "$wheel/pip" install --quiet --root-user-action=ignore --no-index --no-cache-dir "$wheel"
done
find /usr/local -name __pycache__ -prune -exec rm -rf {} +
