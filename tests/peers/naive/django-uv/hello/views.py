import django
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.utils import timezone


def index(request: HttpRequest) -> HttpResponse:
    return render(request, "hello/index.html", {"now": timezone.now()})


def status(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"django": django.get_version()})
