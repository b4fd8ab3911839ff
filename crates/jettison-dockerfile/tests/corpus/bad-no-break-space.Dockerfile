FROM python
FROM a
RUN x
