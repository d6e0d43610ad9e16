-- What `belay deliver` and `belay dead-letters` need.
GRANT SELECT ON `{database}`.`events` TO {user};
GRANT SELECT ON `{database}`.`partition_heads` TO {user};
GRANT SELECT ON `{database}`.`partition_tails` TO {user};
GRANT SELECT ON `{database}`.`erasures` TO {user};
GRANT SELECT ON `{database}`.`settings` TO {user};
GRANT SELECT ON `{database}`.`__diesel_schema_migrations` TO {user};
GRANT SELECT, INSERT, UPDATE ON `{database}`.`consumers` TO {user};
GRANT SELECT, INSERT, UPDATE, DELETE ON `{database}`.`delivery_instances` TO {user};
GRANT SELECT, INSERT, UPDATE, DELETE ON `{database}`.`delivery_partitions` TO {user};
GRANT SELECT, INSERT, UPDATE, DELETE ON `{database}`.`held_events` TO {user};
