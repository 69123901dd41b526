package people

import (
	"context"
	_ "embed"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-imaging/vitrine/internal/base/audit"
	"github.com/vitrine-imaging/vitrine/internal/base/db"
	"github.com/vitrine-imaging/vitrine/internal/fault"
	"github.com/vitrine-imaging/vitrine/internal/flow/admin"
	"github.com/vitrine-imaging/vitrine/internal/record/person"
)

const (
	// CourseName is what a certificate calls the course. Where its content changes in substance, its year does.
	CourseName = "Using images of patients, 2026"

	examined   = 10               // questions of a sitting
	enough     = 8                // right answers that pass
	pause      = 30 * time.Minute // after a failure
	answerTime = 2 * time.Hour    // from the beginning of a sitting
)

//go:embed course.txt
var courseText string

// Lesson is a page of the course.
type Lesson struct {
	ID, Title  string
	Paragraphs []string
}

// Question is one of the pool.
type Question struct {
	Text    string
	Answers []string
	right   int
}

var lessons, pool = parseCourse(courseText)

// Lessons are the pages of the course, in order.
func Lessons() []Lesson { return slices.Clone(lessons) }

// parseCourse reads course.txt: "# id | Title" begins a lesson, whose paragraphs are parted by empty lines; "? text" begins a question, with "+ the right answer" and "- wrong ones". A line that begins otherwise goes on with its paragraph.
func parseCourse(text string) (all []Lesson, questions []Question) {
	open := false
	for l := range strings.Lines(text) {
		l = strings.TrimSpace(l)
		mark, rest, _ := strings.Cut(l, " ")
		switch {
		case l == "":
			open = false
		case mark == "#":
			id, title, _ := strings.Cut(rest, " | ")
			all, open = append(all, Lesson{ID: id, Title: title}), false
		case mark == "?":
			questions = append(questions, Question{Text: rest, right: -1})
		case mark == "+" || mark == "-":
			q := &questions[len(questions)-1]
			if mark == "+" {
				q.right = len(q.Answers)
			}
			q.Answers = append(q.Answers, rest)
		case open:
			p := all[len(all)-1].Paragraphs
			p[len(p)-1] += " " + l
		default:
			last := &all[len(all)-1]
			last.Paragraphs, open = append(last.Paragraphs, l), true
		}
	}
	return all, questions
}

// Asked is a question as it is put to somebody: its answers in an order of their own.
type Asked struct {
	Number  int      `json:"number"` // in the pool
	Text    string   `json:"text"`
	Answers []string `json:"answers"`
}

// Exam is where somebody stands with the examination.
type Exam struct {
	Questions []Asked    `json:"questions,omitempty"` // none: nothing is begun
	Until     *time.Time `json:"until,omitempty"`     // by when they are to be answered
	Again     *time.Time `json:"again,omitempty"`     // when it may be tried again, after a failure
}

// Result is what came of an examination.
type Result struct {
	Right   int        `json:"right"`
	Of      int        `json:"of"`
	Passed  bool       `json:"passed"`
	Expires *time.Time `json:"expires,omitempty"` // of the certificate
	Again   *time.Time `json:"again,omitempty"`
}

// order is that in which the answers of a question are shown, the same whenever the sitting is looked at.
func order(s person.Sitting, n int) []int {
	r := rand.New(rand.NewPCG(uint64(s.Begun.UnixMicro()), uint64(n)))
	return r.Perm(len(pool[n].Answers))
}

func exam(s person.Sitting, now time.Time) Exam {
	var e Exam
	if !s.Failed.IsZero() && now.Before(s.Failed.Add(pause)) {
		again := s.Failed.Add(pause)
		e.Again = &again
	}
	if !running(s, now) {
		return e
	}
	until := s.Begun.Add(answerTime)
	e.Until = &until
	for _, n := range s.Asked {
		q := Asked{Number: n, Text: pool[n].Text}
		for _, i := range order(s, n) {
			q.Answers = append(q.Answers, pool[n].Answers[i])
		}
		e.Questions = append(e.Questions, q)
	}
	return e
}

// running reports a sitting that can be answered.
func running(s person.Sitting, now time.Time) bool {
	return len(s.Asked) > 0 && now.Before(s.Begun.Add(answerTime)) && !slices.ContainsFunc(s.Asked, func(n int) bool { return n < 0 || n >= len(pool) })
}

// Exam is where the caller stands.
func (d *Desk) Exam(ctx context.Context, who admin.Caller) (Exam, error) {
	if err := d.own(ctx, who); err != nil {
		return Exam{}, err
	}
	s, err := d.Persons.Sitting(ctx, who.Actor)
	return exam(s, d.now()), err
}

// BeginExam draws questions for the caller. Who has begun goes on with theirs; who has failed waits.
func (d *Desk) BeginExam(ctx context.Context, who admin.Caller) (Exam, error) {
	if err := d.own(ctx, who); err != nil {
		return Exam{}, err
	}
	now := d.now()
	var out person.Sitting
	err := d.DB.Write(ctx, func(tx *db.Tx) error {
		return d.Persons.Sit(tx, who.Actor, func(s person.Sitting) (person.Sitting, error) {
			out = s
			if running(s, now) {
				return s, nil
			}
			if e := exam(s, now); e.Again != nil {
				return s, fault.New(fault.Conflict, "begin examination", "", "it may be tried again half an hour after it was not passed: read the pages meanwhile")
			}
			out.Asked, out.Begun = rand.Perm(len(pool))[:examined], now
			return out, nil
		})
	})
	return exam(out, now), err
}

// FinishExam takes the caller's answers, by the number of each question: the text of the answer. Who has eight of ten right gets a certificate for a year. What is not answered is wrong.
func (d *Desk) FinishExam(ctx context.Context, who admin.Caller, answers map[int]string) (Result, error) {
	if err := d.own(ctx, who); err != nil {
		return Result{}, err
	}
	now := d.now()
	r := Result{Of: examined}
	err := d.change(ctx, audit.Entry{Actor: who.Actor, Action: "take the course's examination", Object: "account " + who.Actor}, func(tx *db.Tx) error {
		r.Right = 0
		err := d.Persons.Sit(tx, who.Actor, func(s person.Sitting) (person.Sitting, error) {
			if !running(s, now) {
				return s, fault.New(fault.Conflict, "take examination", "", "nothing is asked of you, or it was begun more than two hours ago: begin again")
			}
			for _, n := range s.Asked {
				if q := pool[n]; answers[n] == q.Answers[q.right] {
					r.Right++
				}
			}
			s.Asked, s.Begun = nil, time.Time{}
			if r.Passed = r.Right >= enough; !r.Passed {
				s.Failed = now
			}
			return s, nil
		})
		if err != nil || !r.Passed {
			return err
		}
		return d.Persons.AddTraining(tx, person.Training{Account: who.Actor, Name: CourseName, Completed: now, Expires: now.AddDate(1, 0, 0), Evidence: person.ByCourse})
	})
	if err != nil {
		return Result{}, err
	}
	at := now.AddDate(1, 0, 0)
	if r.Passed {
		r.Expires = &at
	} else {
		at = now.Add(pause)
		r.Again = &at
	}
	return r, nil
}
