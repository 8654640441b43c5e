-- Run once, as causeway_admin, in `causeway`, our own database, which no user may connect to.

DROP SCHEMA public;

CREATE SCHEMA causeway;

GRANT USAGE ON SCHEMA causeway TO causeway_replication;

-- When a primary was last seen to take a write: milliseconds since the epoch, by its Region.
CREATE TABLE causeway.heartbeat (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  milliseconds bigint NOT NULL
) WITH (fillfactor = 10);

GRANT SELECT ON causeway.heartbeat TO causeway_replication;

-- What a writer of a global cluster has those who follow it show: JSON.
CREATE TABLE causeway.handed_on (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  facts text NOT NULL
) WITH (fillfactor = 10);

GRANT SELECT ON causeway.handed_on TO causeway_replication;

-- What users' passwords are verified by: whoever forwards a user's writes to the writer proves
-- there that the user has logged in here. A base backup shows no less.
GRANT SELECT (rolname, rolpassword) ON pg_catalog.pg_authid TO causeway_replication;

-- What pg_rewind reads a server with. A base backup shows no less: a role that is no superuser gets
-- at files of the data directory alone.
GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_dir(text, boolean, boolean),
  pg_catalog.pg_stat_file(text, boolean),
  pg_catalog.pg_read_binary_file(text),
  pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)
  TO causeway_replication;

-- Our role by its number: CREATEROLE may rename it.
CREATE TABLE causeway.own (replication oid NOT NULL);

INSERT INTO causeway.own SELECT oid FROM pg_catalog.pg_authid
  WHERE rolname = 'causeway_replication';

-- A standby's Region promotes it without its upstream's admin password ...
GRANT EXECUTE ON FUNCTION pg_catalog.pg_promote(boolean, integer) TO causeway_replication;

-- ... and gives what is a server of its own then an admin password of its own. It shows that it
-- has the server's files: the word it says is in one of them. At any other copy of the server,
-- which knows the same replication password, no such file is there.
CREATE FUNCTION causeway.adopt(word text, verifier text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  expected text := pg_catalog.pg_read_file('causeway.adopt', 0, 128, true);
BEGIN
  IF word IS NULL OR expected IS NULL OR length(expected) < 64 OR word <> expected THEN
    RAISE insufficient_privilege USING MESSAGE = 'this server is not to be adopted';
  END IF;
  IF verifier IS NULL OR verifier !~ '^SCRAM-SHA-256[$][0-9]+:[A-Za-z0-9+/=]+[$]' THEN
    RAISE invalid_parameter_value USING MESSAGE = 'this is no verifier';
  END IF;
  EXECUTE format('ALTER ROLE causeway_admin PASSWORD %L', verifier);
END
$body$;

REVOKE ALL ON FUNCTION causeway.adopt(text, text) FROM PUBLIC;

GRANT EXECUTE ON FUNCTION causeway.adopt(text, text) TO causeway_replication;

-- CREATEROLE can't alter a role with REPLICATION nor drop one that has rights here, but it can
-- rename it, set its parameters, and grant it. This takes that back, and writes nothing else.
CREATE FUNCTION causeway.mend() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' AS $body$
DECLARE
  number oid := (SELECT replication FROM causeway.own);
  current name := (SELECT rolname FROM pg_authid WHERE oid = number);
  other record;
BEGIN
  IF current IS NULL THEN
    RAISE undefined_object USING MESSAGE = 'the replication role is gone';
  END IF;
  IF current <> 'causeway_replication' THEN
    FOR other IN SELECT oid FROM pg_authid WHERE rolname = 'causeway_replication' LOOP
      EXECUTE format('ALTER ROLE causeway_replication RENAME TO %I', 'renamed_' || gen_random_uuid());
    END LOOP;
    EXECUTE format('ALTER ROLE %I RENAME TO causeway_replication', current);
  END IF;
  FOR other IN SELECT m.rolname AS member FROM pg_auth_members a
      JOIN pg_authid m ON m.oid = a.member WHERE a.roleid = number LOOP
    EXECUTE format('REVOKE causeway_replication FROM %I', other.member);
  END LOOP;
  IF EXISTS (SELECT FROM pg_db_role_setting WHERE setrole = number AND setdatabase = 0) THEN
    ALTER ROLE causeway_replication RESET ALL;
  END IF;
  FOR other IN SELECT d.datname AS name FROM pg_db_role_setting s
      JOIN pg_database d ON d.oid = s.setdatabase WHERE s.setrole = number LOOP
    EXECUTE format('ALTER ROLE causeway_replication IN DATABASE %I RESET ALL', other.name);
  END LOOP;
  IF NOT has_database_privilege(number, 'causeway', 'CONNECT') THEN
    GRANT CONNECT ON DATABASE causeway TO causeway_replication;
  END IF;
  -- The rights of both: membership may be by way of a role that hands none on (NOINHERIT), and
  -- CREATEROLE can take the one out of the other.
  FOR other IN SELECT r.name FROM unnest(ARRAY['pg_monitor', 'pg_read_all_stats']) AS r (name)
      WHERE NOT pg_has_role(number, r.name, 'USAGE') LOOP
    EXECUTE format('GRANT %I TO causeway_replication', other.name);
  END LOOP;
END
$body$;

REVOKE ALL ON FUNCTION causeway.mend() FROM PUBLIC;

