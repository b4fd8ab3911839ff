#   Syntax = docker/dockerfile:1.7-labs  
# escape=`
#check=skip=JSONArgsRecommended;error=true

# a comment ends the directives
# syntax=this/is:a-comment
FROM scratch
COPY testfile.txt c:\
RUN dir `
    c:\
ENV a=`"b c=d` e
