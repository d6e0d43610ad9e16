-- What `belay rebuild` needs: it begins a generation, and the servers build it.
GRANT SELECT ON `{database}`.`partition_tails` TO {user};
GRANT SELECT ON `{database}`.`settings` TO {user};
GRANT SELECT ON `{database}`.`__diesel_schema_migrations` TO {user};
GRANT SELECT, UPDATE ON `{database}`.`projections` TO {user};
GRANT SELECT, INSERT ON `{database}`.`projection_positions` TO {user};
