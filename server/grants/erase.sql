-- What `belay erase` needs. It may change what happened, so nothing serves by this account; what it changes it seals by the
-- identity key.
GRANT SELECT, UPDATE ON `{database}`.`orders` TO {user};
GRANT SELECT, UPDATE ON `{database}`.`cancellations` TO {user};
GRANT SELECT, UPDATE ON `{database}`.`gates` TO {user};
GRANT SELECT, UPDATE ON `{database}`.`shipments` TO {user};
GRANT SELECT, UPDATE ON `{database}`.`incidents` TO {user};
GRANT SELECT, UPDATE ON `{database}`.`events` TO {user};
GRANT SELECT, UPDATE ON `{database}`.`order_history` TO {user};
GRANT SELECT, UPDATE ON `{database}`.`held_events` TO {user};
GRANT SELECT, UPDATE ON `{database}`.`partition_tails` TO {user};
GRANT SELECT ON `{database}`.`order_lines` TO {user};
GRANT SELECT ON `{database}`.`payments` TO {user};
GRANT SELECT ON `{database}`.`cancellation_parts` TO {user};
GRANT SELECT ON `{database}`.`refunds` TO {user};
GRANT SELECT ON `{database}`.`settings` TO {user};
GRANT SELECT ON `{database}`.`__diesel_schema_migrations` TO {user};
GRANT SELECT, DELETE ON `{database}`.`requests` TO {user};
GRANT SELECT, INSERT, DELETE ON `{database}`.`erasures` TO {user};
