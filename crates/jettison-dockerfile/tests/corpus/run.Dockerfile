FROM debian
RUN echo hello > /a # no comment for us
RUN ["/bin/echo", "a b", "\u00e9\n"]
RUN [ -f /etc/passwd ] && echo "yes"
RUN ['echo', 'no']
RUN [ ]
RUN --network=none --security=insecure make
RUN --device=vendor.com/gpu=all nvidia-smi
RUN --mount=type=cache,target=/root/.cache/pip,sharing=locked,id=pip \
    --mount=type=bind,source=requirements.txt,target=/tmp/requirements.txt \
    --mount=type=secret,id=netrc,required,env=NETRC,mode=0400,uid=1000,gid=1000 \
    --mount=type=ssh \
    --mount=type=tmpfs,target=/tmp/work,size=64m \
    --mount=from=build,src=/w,dst=/w,rw \
    pip install -r /tmp/requirements.txt
RUN --mount=type=cache,target=$HOME/.cache,uid=${UID:-0} true
RUN --mount="type=bind,\"target=/a,b\"" ls
RUN -- --not-a-flag
RUN --network=host
