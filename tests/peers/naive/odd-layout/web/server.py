import asyncio
import sys

import tornado.web
from lxml import etree


class Index(tornado.web.RequestHandler):
    def get(self):
        self.write({"libxml2": etree.LIBXML_VERSION})


async def main():
    tornado.web.Application([("/", Index)]).listen(int(sys.argv[1]))
    await asyncio.Event().wait()


asyncio.run(main())
