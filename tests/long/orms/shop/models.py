"""Its tables."""
from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=100, unique=True)
    born = models.DateField(null=True)

    class Meta:
        app_label = "shop"


class Book(models.Model):
    title = models.CharField(max_length=200, db_index=True)
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books")
    price = models.DecimalField(max_digits=10, decimal_places=2)
    stock = models.PositiveIntegerField(default=0)
    details = models.JSONField(default=dict)
    cover = models.BinaryField(null=True)
    added = models.DateTimeField()
    similar = models.ManyToManyField("self")

    class Meta:
        app_label = "shop"


class Order(models.Model):
    book = models.ForeignKey(Book, on_delete=models.PROTECT)
    count = models.IntegerField()

    class Meta:
        app_label = "shop"
