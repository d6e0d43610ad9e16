-- What `belay verify` needs: it reads.
GRANT SELECT ON `{database}`.`events` TO {user};
GRANT SELECT ON `{database}`.`order_history` TO {user};
GRANT SELECT ON `{database}`.`partition_heads` TO {user};
GRANT SELECT ON `{database}`.`settings` TO {user};
GRANT SELECT ON `{database}`.`__diesel_schema_migrations` TO {user};
