"""Renamed, widened and added columns, indices, tables, and a migration of data."""
import django.db.models.deletion
from django.db import migrations, models


def fill(apps, schema_editor):
    author = apps.get_model("shop", "Author")
    for number in range(3):
        author.objects.create(name=f"author {number}")
    author.objects.filter(name="author 1").update(name="author one")


def empty(apps, schema_editor):
    apps.get_model("shop", "Author").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [
        migrations.RenameField("Author", "full_name", "name"),
        migrations.AlterField("Author", "name", models.CharField(max_length=100, unique=True)),
        migrations.AddField("Author", "born", models.DateField(null=True)),
        migrations.AlterField("Book", "title", models.CharField(max_length=200, db_index=True)),
        migrations.AddField("Book", "stock", models.PositiveIntegerField(default=0)),
        migrations.AddField("Book", "details", models.JSONField(default=dict)),
        migrations.AddField("Book", "cover", models.BinaryField(null=True)),
        migrations.AddField("Book", "similar", models.ManyToManyField("shop.Book")),
        migrations.CreateModel(
            "Order",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("book", models.ForeignKey("shop.Book", django.db.models.deletion.PROTECT)),
                ("count", models.IntegerField()),
            ],
        ),
        migrations.RunPython(fill, empty),
    ]
