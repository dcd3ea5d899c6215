"""Django's ORM on the application `shop`: migrations up and down, then a day's work. Prints what it sees."""
import datetime
import decimal
import sys

import django
import pymysql
from django.conf import settings

host, port, user, password, schema = sys.argv[1:]
# As Django asks its driver to be.
pymysql.version_info = (2, 2, 7, "final", 0)
pymysql.install_as_MySQLdb()
settings.configure(
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.mysql",
            "HOST": host,
            "PORT": port,
            "USER": user,
            "PASSWORD": password,
            "NAME": schema,
            "CONN_MAX_AGE": None,
            "CONN_HEALTH_CHECKS": True,
        }
    },
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "shop"],
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import IntegrityError, close_old_connections, connection, models, transaction  # noqa: E402
from shop.models import Author, Book, Order  # noqa: E402

ADDED = datetime.datetime(2024, 2, 29, 12, 30, 0, 250, tzinfo=datetime.timezone.utc)


def say(*what):
    print(*what, flush=True)


def migrations():
    call_command("migrate", verbosity=1, no_color=True)
    call_command("migrate", "shop", "0001", verbosity=1, no_color=True)
    call_command("migrate", verbosity=1, no_color=True)
    call_command("showmigrations", no_color=True)
    call_command("inspectdb", "shop_book", "shop_order", "shop_author", no_color=True)
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.table_names()):
            say(table, sorted(connection.introspection.get_constraints(cursor, table)))


def rows():
    author = Author.objects.get(name="author one")
    books = [
        Book(
            title=f"book {n}",
            author=author,
            price=decimal.Decimal(n) / 4,
            stock=n,
            details={"tags": [n, None], "name": "d\u00e9j\u00e0"},
            cover=bytes(range(256)),
            added=ADDED + datetime.timedelta(days=n),
        )
        for n in range(100)
    ]
    Book.objects.bulk_create(books, batch_size=40)
    say(Book.objects.count(), Book.objects.aggregate(models.Sum("price"), models.Max("added")))
    first, second = Book.objects.order_by("id")[:2]
    first.similar.add(second)
    say([book.title for book in second.similar.all()], bytes(first.cover) == bytes(range(256)))
    say(Book.objects.filter(details__tags__0=7).values_list("title", "price", "added"))
    say(Book.objects.filter(author__name__startswith="author").select_related("author")[3].author.name)
    say([len(a.books.all()) for a in Author.objects.prefetch_related("books").order_by("name")])
    Book.objects.filter(id=first.id).update(stock=models.F("stock") + 5)
    say(Book.objects.get(id=first.id).stock)
    say(Book.objects.update_or_create(title="book 1", defaults={"stock": 77, "author": author})[1])
    say(Author.objects.get_or_create(name="new", defaults={"born": datetime.date(1900, 1, 1)})[1])
    say(Book.objects.annotate(n=models.Count("order")).filter(n=0).count())
    say(sum(1 for _ in Book.objects.iterator(chunk_size=10)))
    say(Book.objects.filter(title__in=["book 5", "book 6"]).delete())


def transactions():
    book = Book.objects.get(title="book 10")
    for round in range(50):
        with transaction.atomic():
            locked = Book.objects.select_for_update().get(id=book.id)
            locked.stock += 1
            locked.save()
            Order.objects.create(book=locked, count=round)
        assert Book.objects.get(id=book.id).stock == 11 + round
        assert Order.objects.count() == round + 1
    with transaction.atomic():
        Order.objects.all().delete()
        try:
            with transaction.atomic():
                Author.objects.create(name="new")
        except IntegrityError as error:
            say(error.args[0])
        say(Order.objects.count())
        transaction.set_rollback(True)
    say(Order.objects.count())
    try:
        book.delete()
    except models.ProtectedError as error:
        say(len(error.protected_objects))


def sessions():
    user = User.objects.create_user("someone", password="x")
    for _ in range(20):
        # As between two requests.
        close_old_connections()
        user.first_name += "x"
        user.save()
        assert User.objects.get(username="someone").first_name == user.first_name
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@session.transaction_isolation, @@autocommit, @@sql_mode, DATABASE() = %s", [schema])
        say(cursor.fetchone())


migrations()
rows()
transactions()
sessions()
say("all is well")
