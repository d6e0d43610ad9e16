-- What pruning needs beside serve.sql: rows are taken out once they are old, and events go into the history of their orders, which
-- nobody takes out. Without these grants everything is kept, and the log says so.
GRANT DELETE ON `{database}`.`events` TO {user};
GRANT DELETE ON `{database}`.`decisions` TO {user};
GRANT DELETE ON `{database}`.`requests` TO {user};
GRANT DELETE ON `{database}`.`bulk_cancellations` TO {user};
GRANT DELETE ON `{database}`.`bulk_orders` TO {user};
GRANT INSERT ON `{database}`.`order_history` TO {user};
GRANT UPDATE ON `{database}`.`partition_tails` TO {user};
