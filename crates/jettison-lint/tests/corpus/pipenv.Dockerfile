from python:3.12-alpine as Build
MAINTAINER somebody
RUN apk add --virtual .build gcc musl-dev libpq-dev
RUN sudo pip install pipenv
COPY Pipfile* ./
RUN pipenv install --system --deploy && apk del .build
ADD . .
USER root
ENV key value
EXPOSE 8000/TCP
CMD python main.py
