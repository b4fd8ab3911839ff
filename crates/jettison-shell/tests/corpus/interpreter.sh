set -eux; \
	\
	wget -O python.tar.xz "https://mirror.example/ftp/${PYTHON_VERSION%%[a-z]*}/Python-$PYTHON_VERSION.tar.xz"; \
	echo "$PYTHON_SHA256 *python.tar.xz" | sha256sum -c -; \
	mkdir -p /usr/src/python; \
	tar --extract --directory /usr/src/python --strip-components=1 --file python.tar.xz; \
	rm python.tar.xz; \
	\
	cd /usr/src/python; \
	arch="$(dpkg --print-architecture)"; arch="${arch##*-}"; \
	case "$arch" in \
		amd64|arm64) \
			flags="-fno-omit-frame-pointer"; \
			;; \
		i386) ;; \
		*) \
			# other machines have too few registers
			flags="-fomit-frame-pointer"; \
			;; \
	esac; \
	./configure --build="$(dpkg-architecture --query DEB_BUILD_GNU_TYPE)" --enable-shared --with-lto; \
	nproc="$(nproc)"; \
	make -j "$nproc" "EXTRA_CFLAGS=${flags:-}" "LDFLAGS=-Wl,-rpath='\$\$ORIGIN/../lib'"; \
	make install; \
	bin="$(readlink -ve /usr/local/bin/python3)"; \
	cd /; \
	rm -rf /usr/src/python; \
	find /usr/local -depth \
		\( \
			\( -type d -a \( -name test -o -name tests \) \) \
			-o \( -type f -a \( -name '*.pyc' -o -name 'libpython*.a' \) \) \
		\) -exec rm -rf '{}' + \
	; \
	ldconfig; \
	apt-mark auto '.*' > /dev/null; \
	apt-mark manual $savedAptMark; \
	find /usr/local -type f -executable -not \( -name '*tkinter*' \) -exec ldd '{}' ';' \
		| awk '/=>/ { so = $(NF-1); if (index(so, "/usr/local/") == 1) { next }; print so }' \
		| sort -u \
		| xargs -rt dpkg-query --search \
		| cut -d: -f1 \
		| sort -u \
		| xargs -r apt-mark manual \
	; \
	apt-get purge -y --auto-remove -o APT::AutoRemove::RecommendsImportant=false; \
	rm -rf /var/lib/apt/lists/*; \
	for src in idle3 pip3 python3; do \
		dst="$(echo "$src" | tr -d 3)"; \
		[ -s "/usr/local/bin/$src" ]; \
		[ ! -e "/usr/local/bin/$dst" ]; \
		ln -svT "$src" "/usr/local/bin/$dst"; \
	done
