-- Three roles, so that the service that everybody can reach cannot make a token. Never run by the program. Run it as
-- a superuser, connected to the database of the tokens, before the first migration and after each one; running it
-- again changes nothing. Give each role its password or certificate yourself.
--
--   authz_migrate  `token migrate`: owns the tables
--   authz_issue    issues, rotates and revokes tokens; cannot change the audit trail
--   authz_check    the service: reads; notes the last use, new networks, events; keeps a digest with a new pepper

DO $$
DECLARE
    wanted TEXT;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['authz_migrate', 'authz_issue', 'authz_check'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I LOGIN', wanted);
        END IF;
    END LOOP;
END
$$;

-- Tables that somebody else can put into the schema could be taken for ours.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO authz_migrate, authz_issue, authz_check;
GRANT CREATE ON SCHEMA public TO authz_migrate;

DO $$
DECLARE
    found TEXT;
BEGIN
    IF to_regclass('public.api_token') IS NULL THEN
        RAISE NOTICE 'there are no tables yet: run the migration as authz_migrate, then this file again';
        RETURN;
    END IF;
    FOREACH found IN ARRAY ARRAY['api_token', 'api_token_owner', 'api_token_network', 'api_token_event',
                                 'api_token_revision', 'api_token_migration'] LOOP
        EXECUTE format('ALTER TABLE public.%I OWNER TO authz_migrate', found);
        EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC, authz_issue, authz_check', found);
        EXECUTE format('GRANT SELECT ON public.%I TO authz_issue, authz_check', found);
    END LOOP;
    ALTER FUNCTION public.api_token_event_is_not_changed() OWNER TO authz_migrate;

    GRANT INSERT, UPDATE ON public.api_token, public.api_token_owner TO authz_issue;
    GRANT UPDATE ON public.api_token_revision TO authz_issue;
    GRANT INSERT ON public.api_token_network, public.api_token_event TO authz_issue;

    GRANT UPDATE (last_used_at, last_used_from, pepper, digest) ON public.api_token TO authz_check;
    GRANT INSERT ON public.api_token_network, public.api_token_event TO authz_check;
END
$$;
