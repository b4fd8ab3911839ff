FROM debian
RUN apt-get update \
    # a comment in the middle
  && apt-get install -y \
	# and another

    curl \   
    git
RUN echo a\
b\\
RUN ec\
ho "split # not a comment" \
# a comment at the start
;
\
RUN echo after
ENV A=1 \
    B="two words" \
    C=th\
ree
RUN echo end \
