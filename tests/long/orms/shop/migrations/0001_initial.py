"""The first tables."""
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            "Author",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("full_name", models.CharField(max_length=50)),
            ],
        ),
        migrations.CreateModel(
            "Book",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("title", models.CharField(max_length=200)),
                ("author", models.ForeignKey("shop.Author", django.db.models.deletion.CASCADE, related_name="books")),
                ("price", models.DecimalField(max_digits=10, decimal_places=2)),
                ("added", models.DateTimeField()),
            ],
        ),
    ]
