-- grain: one version of a settlement that other rows undo, with all they refund
-- tables: settlement_undone
-- slots: at, settlement_undone
SELECT {at}setl_id, updt_time, bool_or(kind <> 'partly_refunded') AS is_gone, sum(COLUMNS('_fen$')::DOUBLE)::BIGINT
FROM {settlement_undone}
GROUP BY ALL
