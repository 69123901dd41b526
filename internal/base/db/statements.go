package db

import (
	"container/list"
	"context"
	"database/sql"
	"sync"
)

// maxStatements bounds what is kept prepared. Texts are constants of the program but for lists of varying length, so it is rarely reached.
const maxStatements = 256

// statements keeps the prepared statements of a pool, the least recently used going first. A statement in use is closed by whoever puts it back last.
type statements struct {
	mu     sync.Mutex
	byText map[string]*list.Element
	order  list.List // of *statement, most recent first
	closed bool
}

type statement struct {
	text    string
	stmt    *sql.Stmt
	users   int
	evicted bool
}

func (c *statements) get(ctx context.Context, pool *sql.DB, text string) (*statement, error) {
	c.mu.Lock()
	if e, ok := c.byText[text]; ok {
		c.order.MoveToFront(e)
		s := e.Value.(*statement)
		s.users++
		c.mu.Unlock()
		return s, nil
	}
	c.mu.Unlock()
	stmt, err := pool.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byText[text]; ok || c.closed {
		// Another goroutine was first; this one serves one query.
		return &statement{text: text, stmt: stmt, users: 1, evicted: true}, nil
	}
	s := &statement{text: text, stmt: stmt, users: 1}
	if c.byText == nil {
		c.byText = map[string]*list.Element{}
	}
	c.byText[text] = c.order.PushFront(s)
	for c.order.Len() > maxStatements {
		c.evict(c.order.Back())
	}
	return s, nil
}

func (c *statements) put(s *statement) {
	c.mu.Lock()
	s.users--
	last := s.evicted && s.users == 0
	c.mu.Unlock()
	if last {
		s.stmt.Close() // rows that are still open keep their own hold on it
	}
}

func (c *statements) evict(e *list.Element) {
	s := c.order.Remove(e).(*statement)
	delete(c.byText, s.text)
	s.evicted = true
	if s.users == 0 {
		s.stmt.Close()
	}
}

func (c *statements) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for c.order.Len() > 0 {
		c.evict(c.order.Back())
	}
}
