package sqlstore

import (
	"context"
	"fmt"

	"grapnel/internal/store"
)

// appendChunk stores a chunk, or the mark that it is cut off, behind its deployment's log. One statement looks where that is:
// on PostgreSQL two servers that find the same place meet at the primary key, and the loser looks again; so places have no
// gaps, and none becomes visible before a smaller one.
const appendChunk = `WITH chunk (work_id, seq, size, lines) AS (
		VALUES (CAST($1 AS TEXT), CAST($2 AS BIGINT), CAST($3 AS BIGINT), CAST($4 AS TEXT))
	), at AS (
		SELECT w.deployment_id, coalesce(l.place, 0) + 1 AS place, w.target, w.event, c.work_id, c.seq, c.lines, c.size,
			coalesce(p.work_size, 0) AS work_size, coalesce(l.log_size, 0) AS log_size,
			coalesce(p.work_size, 0) + c.size > CAST($5 AS BIGINT) OR coalesce(l.log_size, 0) + c.size > CAST($6 AS BIGINT) AS cut
		FROM chunk c JOIN work w ON w.id = c.work_id
		LEFT JOIN log_chunks p ON p.work_id = w.id
			AND p.seq = (SELECT max(seq) FROM log_chunks WHERE work_id = w.id)
		LEFT JOIN log_chunks l ON l.deployment_id = w.deployment_id
			AND l.place = (SELECT max(place) FROM log_chunks WHERE deployment_id = w.deployment_id)
		WHERE (p.seq IS NULL OR p.seq < c.seq AND NOT p.cut)
	)
	INSERT INTO log_chunks (deployment_id, place, target, event, work_id, seq, work_size, log_size, cut, lines)
	SELECT deployment_id, place, target, event, work_id, seq,
		CASE WHEN cut THEN work_size ELSE work_size + size END, CASE WHEN cut THEN log_size ELSE log_size + size END,
		cut, CASE WHEN cut THEN '[]' ELSE lines END
	FROM at`

// AppendLog implements store.Logs.
func (s *Store) AppendLog(ctx context.Context, chunks []store.LogChunk, limits store.LogLimits) error {
	return s.update(ctx, func(t *tx) error {
		for _, c := range chunks {
			if _, err := t.exec(appendChunk, c.Work, c.Seq, c.Size, document{c.Lines}, limits.Work, limits.Deployment); err != nil {
				return fmt.Errorf("log of command %s: %w", c.Work, err)
			}
		}
		return nil
	})
}

// LogChunks implements store.Logs.
func (s *Store) LogChunks(ctx context.Context, f store.LogFilter) ([]store.LogChunk, error) {
	var c conditions
	c.add(`deployment_id = ?`, f.Deployment)
	c.add(`place > ?`, f.After)
	if f.Target != "" {
		c.add(`target = ?`, f.Target)
	}
	if f.Event != "" {
		c.add(`event = ?`, f.Event)
	}
	where, args := c.where()
	args = append(args, limited(f.Limit))
	chunks, err := readList(ctx, s, scanChunk, `SELECT place, target, event, work_id, seq, cut, lines FROM log_chunks`+where+
		fmt.Sprintf(` ORDER BY place LIMIT $%d`, len(args)), args...)
	return chunks, about(err, "log of deployment %s", f.Deployment)
}

func scanChunk(row scanner) (c store.LogChunk, err error) {
	err = row.Scan(&c.Place, &c.Target, &c.Event, &c.Work, &c.Seq, &c.Cut, document{&c.Lines})
	return c, err
}
