-- What `belay migrate` and `belay identity-key` need: the schema, and to fill what is new in it. Nothing serves by this account.
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, CREATE VIEW, ALTER, DROP, INDEX, REFERENCES ON `{database}`.* TO {user};
