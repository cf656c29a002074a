import datetime
import django.core.validators
import django.db.models.deletion
import fynlo.tenancy.constraints
import fynlo.tenancy.fields
import fynlo.tenancy.scope
import restaurants.models
from decimal import Decimal
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Restaurant',
            fields=[
                ('id', models.AutoField(primary_key=True, serialize=False)),
                ('public_id', models.UUIDField(default=fynlo.tenancy.fields.uuid7, editable=False, unique=True)),
                ('name', models.CharField(max_length=120)),
                ('slug', models.SlugField(max_length=60, unique=True)),
                ('status', models.CharField(choices=[('active', 'Active'), ('suspended', 'Suspended')], default='active', max_length=10)),
                ('currency', models.CharField(choices=[('AED', 'AED'), ('AUD', 'AUD'), ('BGN', 'BGN'), ('BRL', 'BRL'), ('CAD', 'CAD'), ('CHF', 'CHF'), ('CNY', 'CNY'), ('CZK', 'CZK'), ('DKK', 'DKK'), ('EUR', 'EUR'), ('GBP', 'GBP'), ('HKD', 'HKD'), ('HUF', 'HUF'), ('ILS', 'ILS'), ('INR', 'INR'), ('MAD', 'MAD'), ('MXN', 'MXN'), ('MYR', 'MYR'), ('NOK', 'NOK'), ('NZD', 'NZD'), ('PHP', 'PHP'), ('PLN', 'PLN'), ('RON', 'RON'), ('SAR', 'SAR'), ('SEK', 'SEK'), ('SGD', 'SGD'), ('THB', 'THB'), ('TRY', 'TRY'), ('TWD', 'TWD'), ('USD', 'USD'), ('ZAR', 'ZAR'), ('CLP', 'CLP'), ('ISK', 'ISK'), ('JPY', 'JPY'), ('KRW', 'KRW'), ('VND', 'VND'), ('BHD', 'BHD'), ('JOD', 'JOD'), ('KWD', 'KWD'), ('OMR', 'OMR'), ('TND', 'TND')], default='GBP', max_length=3)),
                ('timezone', models.CharField(default='Europe/London', max_length=64, validators=[restaurants.models.validate_timezone])),
                ('business_day_cutoff', models.TimeField(default=datetime.time(4, 0))),
                ('vat_number', models.CharField(blank=True, max_length=20, verbose_name='VAT number')),
                ('address', models.TextField(blank=True, max_length=400)),
                ('phone', models.CharField(blank=True, max_length=30)),
                ('menu_version', models.PositiveIntegerField(default=1, editable=False)),
                ('late_after_seconds', models.PositiveIntegerField(default=600, help_text='Age in seconds from which the kitchen shows a ticket as late.')),
                ('warn_after_seconds', models.PositiveIntegerField(default=360, help_text='Age in seconds from which the kitchen marks a ticket amber.')),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'db_table': 'restaurants_restaurant',
            },
        ),
        migrations.CreateModel(
            name='Counter',
            fields=[
                ('id', models.UUIDField(default=fynlo.tenancy.fields.uuid7, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=20)),
                ('value', models.BigIntegerField(default=0)),
                ('restaurant', models.ForeignKey(db_index=False, default=fynlo.tenancy.scope.current_restaurant_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='restaurants.restaurant')),
            ],
            options={
                'db_table': 'restaurants_counter',
            },
        ),
        migrations.CreateModel(
            name='Floor',
            fields=[
                ('id', models.UUIDField(default=fynlo.tenancy.fields.uuid7, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=60)),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('restaurant', models.ForeignKey(db_index=False, default=fynlo.tenancy.scope.current_restaurant_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='restaurants.restaurant')),
            ],
            options={
                'db_table': 'restaurants_floor',
                'ordering': ['position', 'name'],
            },
        ),
        migrations.CreateModel(
            name='Table',
            fields=[
                ('id', models.UUIDField(default=fynlo.tenancy.fields.uuid7, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=20)),
                ('seats', models.PositiveSmallIntegerField(default=4, validators=[django.core.validators.MinValueValidator(1)])),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('is_active', models.BooleanField(default=True)),
                ('floor', fynlo.tenancy.fields.TenantForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='tables', to='restaurants.floor')),
                ('restaurant', models.ForeignKey(db_index=False, default=fynlo.tenancy.scope.current_restaurant_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='restaurants.restaurant')),
            ],
            options={
                'db_table': 'restaurants_table',
                'ordering': ['position', 'name'],
            },
        ),
        migrations.CreateModel(
            name='TaxClass',
            fields=[
                ('id', models.UUIDField(default=fynlo.tenancy.fields.uuid7, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=60)),
                ('restaurant', models.ForeignKey(db_index=False, default=fynlo.tenancy.scope.current_restaurant_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='restaurants.restaurant')),
            ],
            options={
                'verbose_name_plural': 'tax classes',
                'db_table': 'restaurants_taxclass',
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='TaxRate',
            fields=[
                ('id', models.UUIDField(default=fynlo.tenancy.fields.uuid7, editable=False, primary_key=True, serialize=False)),
                ('dining_mode', models.CharField(choices=[('any', 'Eating in and taking away'), ('dine_in', 'Eating in'), ('takeaway', 'Taking away')], default='any', max_length=10)),
                ('percent', models.DecimalField(decimal_places=3, max_digits=6, validators=[django.core.validators.MinValueValidator(Decimal('0')), django.core.validators.MaxValueValidator(Decimal('100'))])),
                ('valid_from', models.DateField(default=datetime.date(2000, 1, 1))),
                ('restaurant', models.ForeignKey(db_index=False, default=fynlo.tenancy.scope.current_restaurant_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='restaurants.restaurant')),
                ('tax_class', fynlo.tenancy.fields.TenantForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='rates', to='restaurants.taxclass')),
            ],
            options={
                'db_table': 'restaurants_taxrate',
                'ordering': ['-valid_from', 'dining_mode'],
            },
        ),
        migrations.CreateModel(
            name='KitchenStation',
            fields=[
                ('id', models.UUIDField(default=fynlo.tenancy.fields.uuid7, editable=False, primary_key=True, serialize=False)),
                ('restaurant', models.ForeignKey(db_index=False, default=fynlo.tenancy.scope.current_restaurant_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='restaurants.restaurant')),
                ('name', models.CharField(max_length=40)),
                ('position', models.PositiveSmallIntegerField(default=0)),
            ],
            options={
                'db_table': 'restaurants_kitchenstation',
                'ordering': ['position', 'name'],
            },
        ),
        migrations.CreateModel(
            name='MenuCategory',
            fields=[
                ('id', models.UUIDField(default=fynlo.tenancy.fields.uuid7, editable=False, primary_key=True, serialize=False)),
                ('restaurant', models.ForeignKey(db_index=False, default=fynlo.tenancy.scope.current_restaurant_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='restaurants.restaurant')),
                ('name', models.CharField(max_length=80)),
                ('position', models.PositiveSmallIntegerField(default=0)),
            ],
            options={
                'verbose_name_plural': 'menu categories',
                'db_table': 'restaurants_menucategory',
                'ordering': ['position', 'name'],
            },
        ),
        migrations.CreateModel(
            name='ModifierGroup',
            fields=[
                ('id', models.UUIDField(default=fynlo.tenancy.fields.uuid7, editable=False, primary_key=True, serialize=False)),
                ('restaurant', models.ForeignKey(db_index=False, default=fynlo.tenancy.scope.current_restaurant_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='restaurants.restaurant')),
                ('name', models.CharField(max_length=80)),
                ('min_select', models.PositiveSmallIntegerField(default=0)),
                ('max_select', models.PositiveSmallIntegerField(default=1, validators=[django.core.validators.MinValueValidator(1)])),
            ],
            options={
                'db_table': 'restaurants_modifiergroup',
                'ordering': ['name'],
            },
        ),
        migrations.CreateModel(
            name='Modifier',
            fields=[
                ('id', models.UUIDField(default=fynlo.tenancy.fields.uuid7, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=80, validators=[restaurants.models.validate_not_blank])),
                ('price_minor', models.BigIntegerField(default=0, validators=[django.core.validators.MinValueValidator(-100000000), django.core.validators.MaxValueValidator(100000000)])),
                ('is_sold_out', models.BooleanField(default=False)),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('group', fynlo.tenancy.fields.TenantForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='modifiers', to='restaurants.modifiergroup')),
                ('restaurant', models.ForeignKey(db_index=False, default=fynlo.tenancy.scope.current_restaurant_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='restaurants.restaurant')),
            ],
            options={
                'db_table': 'restaurants_modifier',
                'ordering': ['position', 'name'],
            },
        ),
        migrations.CreateModel(
            name='MenuItem',
            fields=[
                ('id', models.UUIDField(default=fynlo.tenancy.fields.uuid7, editable=False, primary_key=True, serialize=False)),
                ('restaurant', models.ForeignKey(db_index=False, default=fynlo.tenancy.scope.current_restaurant_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='restaurants.restaurant')),
                ('code', models.CharField(blank=True, max_length=40)),
                ('name', models.CharField(max_length=120, validators=[restaurants.models.validate_not_blank])),
                ('description', models.TextField(blank=True, max_length=1000)),
                ('price_minor', models.BigIntegerField(validators=[django.core.validators.MinValueValidator(0), django.core.validators.MaxValueValidator(100000000)])),
                ('is_active', models.BooleanField(default=True, help_text='Off: not on the menu at all.')),
                ('is_sold_out', models.BooleanField(default=False, help_text='86: on the menu, but not to be had just now.')),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('category', fynlo.tenancy.fields.TenantForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='items', to='restaurants.menucategory')),
                ('station', fynlo.tenancy.fields.TenantForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='items', to='restaurants.kitchenstation')),
                ('tax_class', fynlo.tenancy.fields.TenantForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='items', to='restaurants.taxclass')),
            ],
            options={
                'db_table': 'restaurants_menuitem',
                'ordering': ['position', 'name'],
            },
        ),
        migrations.CreateModel(
            name='MenuItemModifierGroup',
            fields=[
                ('id', models.UUIDField(default=fynlo.tenancy.fields.uuid7, editable=False, primary_key=True, serialize=False)),
                ('position', models.PositiveSmallIntegerField(default=0)),
                ('item', fynlo.tenancy.fields.TenantForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='group_links', to='restaurants.menuitem')),
                ('group', fynlo.tenancy.fields.TenantForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='item_links', to='restaurants.modifiergroup')),
                ('restaurant', models.ForeignKey(db_index=False, default=fynlo.tenancy.scope.current_restaurant_id, editable=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='restaurants.restaurant')),
            ],
            options={
                'db_table': 'restaurants_menuitemmodifiergroup',
                'ordering': ['position'],
            },
        ),
        migrations.AddField(
            model_name='menuitem',
            name='modifier_groups',
            field=models.ManyToManyField(related_name='items', through='restaurants.MenuItemModifierGroup', to='restaurants.modifiergroup'),
        ),
        migrations.AddConstraint(
            model_name='modifiergroup',
            constraint=models.UniqueConstraint(fields=('restaurant', 'name'), name='restaurants_modifiergroup_name'),
        ),
        migrations.AddConstraint(
            model_name='modifiergroup',
            constraint=models.CheckConstraint(condition=models.Q(('max_select__gte', 1), ('min_select__lte', models.F('max_select'))), name='restaurants_modifiergroup_min_max', violation_error_message='The most that may be chosen is less than the least.'),
        ),
        migrations.AddConstraint(
            model_name='modifiergroup',
            constraint=fynlo.tenancy.constraints.TenantPolicy(name='restaurants_modifiergroup_tenant', version=1),
        ),
        migrations.AddConstraint(
            model_name='modifiergroup',
            constraint=models.UniqueConstraint(fields=('restaurant', 'id'), name='restaurants_modifiergroup_rid_id'),
        ),
        migrations.AddConstraint(
            model_name='modifier',
            constraint=models.UniqueConstraint(fields=('restaurant', 'group', 'name'), name='restaurants_modifier_name'),
        ),
        migrations.AddConstraint(
            model_name='modifier',
            constraint=fynlo.tenancy.constraints.TenantPolicy(name='restaurants_modifier_tenant', version=1),
        ),
        migrations.AddConstraint(
            model_name='modifier',
            constraint=models.UniqueConstraint(fields=('restaurant', 'id'), name='restaurants_modifier_rid_id'),
        ),
        migrations.AddConstraint(
            model_name='modifier',
            constraint=fynlo.tenancy.constraints.TenantFK(field='group', name='restaurants_modifier_group_id_tfk'),
        ),
        migrations.AddConstraint(
            model_name='menuitemmodifiergroup',
            constraint=models.UniqueConstraint(fields=('restaurant', 'item', 'group'), name='restaurants_menuitemmodifiergroup_pair'),
        ),
        migrations.AddConstraint(
            model_name='menuitemmodifiergroup',
            constraint=fynlo.tenancy.constraints.TenantPolicy(name='restaurants_menuitemmodifiergroup_tenant', version=1),
        ),
        migrations.AddConstraint(
            model_name='menuitemmodifiergroup',
            constraint=fynlo.tenancy.constraints.TenantFK(field='item', name='restaurants_menuitemmodifiergroup_item_id_tfk'),
        ),
        migrations.AddConstraint(
            model_name='menuitemmodifiergroup',
            constraint=fynlo.tenancy.constraints.TenantFK(field='group', name='restaurants_menuitemmodifiergroup_group_id_tfk'),
        ),
        migrations.AddConstraint(
            model_name='menucategory',
            constraint=models.UniqueConstraint(fields=('restaurant', 'name'), name='restaurants_menucategory_name'),
        ),
        migrations.AddConstraint(
            model_name='menucategory',
            constraint=fynlo.tenancy.constraints.TenantPolicy(name='restaurants_menucategory_tenant', version=1),
        ),
        migrations.AddConstraint(
            model_name='menucategory',
            constraint=models.UniqueConstraint(fields=('restaurant', 'id'), name='restaurants_menucategory_rid_id'),
        ),
        migrations.AddConstraint(
            model_name='kitchenstation',
            constraint=models.UniqueConstraint(fields=('restaurant', 'name'), name='restaurants_kitchenstation_name'),
        ),
        migrations.AddConstraint(
            model_name='kitchenstation',
            constraint=fynlo.tenancy.constraints.TenantPolicy(name='restaurants_kitchenstation_tenant', version=1),
        ),
        migrations.AddConstraint(
            model_name='kitchenstation',
            constraint=models.UniqueConstraint(fields=('restaurant', 'id'), name='restaurants_kitchenstation_rid_id'),
        ),
        migrations.AddConstraint(
            model_name='floor',
            constraint=models.UniqueConstraint(fields=('restaurant', 'name'), name='restaurants_floor_name'),
        ),
        migrations.AddConstraint(
            model_name='floor',
            constraint=fynlo.tenancy.constraints.TenantPolicy(name='restaurants_floor_tenant', version=1),
        ),
        migrations.AddConstraint(
            model_name='floor',
            constraint=models.UniqueConstraint(fields=('restaurant', 'id'), name='restaurants_floor_rid_id'),
        ),
        migrations.AddConstraint(
            model_name='counter',
            constraint=models.UniqueConstraint(fields=('restaurant', 'name'), name='restaurants_counter_name'),
        ),
        migrations.AddConstraint(
            model_name='counter',
            constraint=fynlo.tenancy.constraints.TenantPolicy(name='restaurants_counter_tenant', version=1),
        ),
        migrations.AddConstraint(
            model_name='table',
            constraint=models.UniqueConstraint(fields=('restaurant', 'name'), name='restaurants_table_name'),
        ),
        migrations.AddConstraint(
            model_name='table',
            constraint=fynlo.tenancy.constraints.TenantPolicy(name='restaurants_table_tenant', version=1),
        ),
        migrations.AddConstraint(
            model_name='table',
            constraint=models.UniqueConstraint(fields=('restaurant', 'id'), name='restaurants_table_rid_id'),
        ),
        migrations.AddConstraint(
            model_name='table',
            constraint=fynlo.tenancy.constraints.TenantFK(field='floor', name='restaurants_table_floor_id_tfk'),
        ),
        migrations.AddConstraint(
            model_name='taxclass',
            constraint=models.UniqueConstraint(fields=('restaurant', 'name'), name='restaurants_taxclass_name'),
        ),
        migrations.AddConstraint(
            model_name='taxclass',
            constraint=fynlo.tenancy.constraints.TenantPolicy(name='restaurants_taxclass_tenant', version=1),
        ),
        migrations.AddConstraint(
            model_name='taxclass',
            constraint=models.UniqueConstraint(fields=('restaurant', 'id'), name='restaurants_taxclass_rid_id'),
        ),
        migrations.AddConstraint(
            model_name='menuitem',
            constraint=models.UniqueConstraint(fields=('restaurant', 'name'), name='restaurants_menuitem_name'),
        ),
        migrations.AddConstraint(
            model_name='menuitem',
            constraint=models.UniqueConstraint(condition=models.Q(('code', ''), _negated=True), fields=('restaurant', 'code'), name='restaurants_menuitem_code'),
        ),
        migrations.AddConstraint(
            model_name='menuitem',
            constraint=models.CheckConstraint(condition=models.Q(('price_minor__gte', 0)), name='restaurants_menuitem_price_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='menuitem',
            constraint=fynlo.tenancy.constraints.TenantPolicy(name='restaurants_menuitem_tenant', version=1),
        ),
        migrations.AddConstraint(
            model_name='menuitem',
            constraint=models.UniqueConstraint(fields=('restaurant', 'id'), name='restaurants_menuitem_rid_id'),
        ),
        migrations.AddConstraint(
            model_name='menuitem',
            constraint=fynlo.tenancy.constraints.TenantFK(field='category', name='restaurants_menuitem_category_id_tfk'),
        ),
        migrations.AddConstraint(
            model_name='menuitem',
            constraint=fynlo.tenancy.constraints.TenantFK(field='tax_class', name='restaurants_menuitem_tax_class_id_tfk'),
        ),
        migrations.AddConstraint(
            model_name='menuitem',
            constraint=fynlo.tenancy.constraints.TenantFK(field='station', name='restaurants_menuitem_station_id_tfk'),
        ),
        migrations.AddConstraint(
            model_name='taxrate',
            constraint=models.UniqueConstraint(fields=('restaurant', 'tax_class', 'dining_mode', 'valid_from'), name='restaurants_taxrate_from'),
        ),
        migrations.AddConstraint(
            model_name='taxrate',
            constraint=fynlo.tenancy.constraints.TenantPolicy(name='restaurants_taxrate_tenant', version=1),
        ),
        migrations.AddConstraint(
            model_name='taxrate',
            constraint=fynlo.tenancy.constraints.TenantFK(field='tax_class', name='restaurants_taxrate_tax_class_id_tfk'),
        ),
    ]
