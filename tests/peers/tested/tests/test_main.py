from greeting.main import app


def test_it_greets():
    assert app.test_client().get("/").text == "hello"
