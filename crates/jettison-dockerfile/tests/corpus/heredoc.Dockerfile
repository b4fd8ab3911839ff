FROM debian
RUN <<EOF
set -e
echo $HOME # a comment for the shell
FROM not-a-stage
EOF
RUN <<-"END OF IT"
	#!/usr/bin/env python3
	print("$HOME")
	END OF IT
RUN python3 <<PY && cat <<'A B' 3<<-C
print(1)
PY
text
A B
	tabs
	C
COPY <<robots.txt <<"humans.txt" extra /var/www/
User-agent: $AGENT
robots.txt
$LITERAL
humans.txt
ADD --chmod=644 <<EOF \
    /etc/one
${UNSET:-default}
EOF
ONBUILD RUN <<EOF
later
EOF
COPY ["<<EOF", "/etc/two"]
RUN cat <<< "here string" && echo $((1<<2)) "<<QUOTED"
RUN echo it's <<EOF
