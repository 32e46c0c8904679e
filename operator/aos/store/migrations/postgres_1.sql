-- sequence, hash, time: of the chain's newest row, deleted or not.
CREATE TABLE chains (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL UNIQUE,
  sequence bigint NOT NULL,
  hash text NOT NULL,
  time text NOT NULL
);

-- id: the chain's id times 2^40, plus the sequence.
CREATE TABLE audit (
  id bigint PRIMARY KEY,
  at bigint NOT NULL,
  mark smallint NOT NULL,
  namespace text NOT NULL,
  agent text NOT NULL,
  task text NOT NULL,
  task_uid text NOT NULL,
  name text NOT NULL,
  record text NOT NULL,
  previous bytea NOT NULL,
  hash bytea NOT NULL,
  event bytea NOT NULL
);
CREATE INDEX audit_at ON audit (at, id);
CREATE INDEX audit_task ON audit (task) WHERE task <> '';
CREATE INDEX audit_task_uid ON audit (task_uid) WHERE task_uid <> '';
CREATE INDEX audit_record ON audit (record) WHERE record <> '';
CREATE INDEX audit_mark ON audit (mark) WHERE mark <> 0;

-- Counters, leases and writes: key has the kind before it, value is JSON, expires is in milliseconds. version is another
-- one with each change, never used before: what a replica remembers is true while it finds the same version.
CREATE TABLE cells (
  key text COLLATE "C" PRIMARY KEY,
  version bigint NOT NULL,
  owner text NOT NULL,
  namespace text NOT NULL,
  expires bigint,
  value text NOT NULL,
  result bytea
) WITH (fillfactor = 70);
CREATE INDEX cells_owner ON cells (owner) WHERE owner <> '';
CREATE INDEX cells_expires ON cells (expires) WHERE expires IS NOT NULL;

-- Calls that are not finished.
CREATE TABLE calls (
  call text PRIMARY KEY,
  expires bigint NOT NULL,
  closed smallint NOT NULL,
  value text NOT NULL
);

CREATE TABLE documents (
  digest text PRIMARY KEY,
  content bytea NOT NULL
);

CREATE TABLE holds (
  name text COLLATE "C" PRIMARY KEY,
  namespace text NOT NULL,
  reason text NOT NULL,
  created_by text NOT NULL,
  created_at double precision NOT NULL
);

CREATE TABLE probe (
  id smallint PRIMARY KEY,
  at bigint NOT NULL
);

CREATE FUNCTION aos_clock() RETURNS bigint LANGUAGE sql VOLATILE AS $$
  SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint
$$;

-- Locks cells and returns them, after a row that says when they were locked.
CREATE FUNCTION aos_lock(p_keys text[])
RETURNS TABLE (now_ms bigint, key text, version bigint, owner text, value text, result bytea)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  PERFORM 1 FROM cells c WHERE c.key = ANY (p_keys) ORDER BY c.key FOR UPDATE;
  RETURN QUERY SELECT aos_clock(), NULL::text, NULL::bigint, NULL::text, NULL::text, NULL::bytea;
  RETURN QUERY SELECT 0::bigint, c.key, c.version, c.owner, c.value, c.result FROM cells c WHERE c.key = ANY (p_keys);
END
$$;

-- Stores what one transaction changed, if everything that it was decided by still holds; raises AO001 if not, and AO002
-- if another process wrote the chain. Rows are locked in the order of their keys, existing ones before new ones, so that
-- no two replicas wait for each other. Returns the time.
CREATE FUNCTION aos_apply(
  p_now bigint, p_until bigint, p_stamp bigint,
  p_keys text[], p_versions bigint[],
  p_changed text[], p_owners text[], p_namespaces text[], p_expires bigint[], p_values text[], p_results bytea[],
  p_deleted text[],
  p_opened text[], p_opened_expires bigint[], p_opened_values text[],
  p_finished text[],
  p_chain bigint, p_sequence bigint, p_hash text, p_new_sequence bigint, p_new_hash text, p_new_time text,
  p_ids bigint[], p_ats bigint[], p_marks smallint[], p_row_namespaces text[], p_agents text[], p_tasks text[],
  p_task_uids text[], p_names text[], p_records text[], p_previous bytea[], p_hashes bytea[], p_events bytea[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  v_now bigint;
  v_count bigint;
  v_new bigint;
BEGIN
  IF cardinality(p_keys) > 0 THEN
    PERFORM 1 FROM cells c WHERE c.key = ANY (p_keys) ORDER BY c.key FOR UPDATE;
    SELECT count(*) INTO v_count
      FROM unnest(p_keys, p_versions) AS known (key, version) LEFT JOIN cells c ON c.key = known.key
      WHERE c.version IS NOT DISTINCT FROM known.version;
    IF v_count <> cardinality(p_keys) THEN
      RAISE EXCEPTION 'cells have changed' USING ERRCODE = 'AO001';
    END IF;
  END IF;
  v_now := aos_clock();
  IF p_now > v_now OR p_until <= v_now THEN
    RAISE EXCEPTION 'the decision took too long' USING ERRCODE = 'AO001';
  END IF;
  IF cardinality(p_changed) > 0 THEN
    UPDATE cells c SET version = p_stamp, owner = w.owner, namespace = w.namespace, expires = w.expires,
        value = w.value, result = w.result
      FROM unnest(p_changed, p_owners, p_namespaces, p_expires, p_values, p_results)
          AS w (key, owner, namespace, expires, value, result)
        JOIN unnest(p_keys, p_versions) AS known (key, version) ON known.key = w.key
      -- One that was absent above may have been made since: it is not this replica's to write.
      WHERE c.key = w.key AND c.version = known.version;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count < cardinality(p_changed) THEN
      INSERT INTO cells (key, version, owner, namespace, expires, value, result)
        SELECT w.key, p_stamp, w.owner, w.namespace, w.expires, w.value, w.result
          FROM unnest(p_changed, p_owners, p_namespaces, p_expires, p_values, p_results)
            AS w (key, owner, namespace, expires, value, result)
            JOIN unnest(p_keys, p_versions) AS known (key, version) ON known.key = w.key
          WHERE known.version IS NULL
          ORDER BY w.key COLLATE "C"
        ON CONFLICT (key) DO NOTHING;
      GET DIAGNOSTICS v_new = ROW_COUNT;
      IF v_count + v_new <> cardinality(p_changed) THEN
        RAISE EXCEPTION 'cells have appeared' USING ERRCODE = 'AO001';
      END IF;
    END IF;
  END IF;
  IF cardinality(p_deleted) > 0 THEN
    DELETE FROM cells c USING unnest(p_keys, p_versions) AS known (key, version)
      WHERE c.key = ANY (p_deleted) AND c.key = known.key AND c.version = known.version;
  END IF;
  IF cardinality(p_opened) > 0 THEN
    INSERT INTO calls (call, expires, closed, value)
      SELECT o.call, o.expires, 0, o.value
        FROM unnest(p_opened, p_opened_expires, p_opened_values) AS o (call, expires, value);
  END IF;
  IF cardinality(p_finished) > 0 THEN
    DELETE FROM calls c WHERE c.call = ANY (p_finished);
    GET DIAGNOSTICS v_count = ROW_COUNT;
    IF v_count <> cardinality(p_finished) THEN
      RAISE EXCEPTION 'calls have been finished' USING ERRCODE = 'AO001';
    END IF;
  END IF;
  IF cardinality(p_ids) > 0 THEN
    UPDATE chains c SET sequence = p_new_sequence, hash = p_new_hash, time = p_new_time
      WHERE c.id = p_chain AND c.sequence = p_sequence AND c.hash = p_hash;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'the chain has been written' USING ERRCODE = 'AO002';
    END IF;
    INSERT INTO audit (id, at, mark, namespace, agent, task, task_uid, name, record, previous, hash, event)
      SELECT * FROM unnest(p_ids, p_ats, p_marks, p_row_namespaces, p_agents, p_tasks, p_task_uids, p_names, p_records,
        p_previous, p_hashes, p_events);
  END IF;
  RETURN v_now;
END
$$;
