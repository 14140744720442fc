package i18n

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	jalaali "github.com/jalaali/go-jalaali"
	"golang.org/x/text/message"
	"golang.org/x/text/number"
)

// Date writes the day that t falls on in loc: "22 November 2026", or in
// Persian the Jalali day, "۱ آذر ۱۴۰۵". A nil loc is UTC; the zero time is "".
func (l *Localizer) Date(t time.Time, loc *time.Location) string {
	if t.IsZero() {
		return ""
	}
	year, month, day, ok := l.calendar(in(t, loc))
	if !ok {
		return l.Digits(in(t, loc).Format("2006-01-02"))
	}
	return l.Digits(fmt.Sprintf("%d %s %d", day, l.months[month-1], year))
}

// calendar is the day in the language's own calendar; false for a day that is
// centuries away, where the other calendar is better than none.
func (l *Localizer) calendar(t time.Time) (year int, month time.Month, day int, ok bool) {
	year, month, day = t.Date()
	if l.lang != "fa" {
		return year, month, day, true
	}
	jy, jm, jd, err := jalaali.ToJalaali(year, month, day)
	return jy, time.Month(jm), jd, err == nil
}

// ShortDate writes the day that t falls on for the axis of a picture, where the
// year is known: "22 Nov", or "۱ آذر".
func (l *Localizer) ShortDate(t time.Time, loc *time.Location) string {
	_, month, day, ok := l.calendar(in(t, loc))
	if !ok {
		return l.Date(t, loc)
	}
	return l.Digits(strconv.Itoa(day)) + " " + l.shortMonth(month)
}

// Month writes the month that t falls in for the axis of a picture: "Nov", or "آذر".
func (l *Localizer) Month(t time.Time, loc *time.Location) string {
	_, month, _, ok := l.calendar(in(t, loc))
	if !ok {
		return l.Date(t, loc)
	}
	return l.shortMonth(month)
}

// shortMonth is a month's name, cut where the language does so.
func (l *Localizer) shortMonth(month time.Month) string {
	name := l.months[month-1]
	if l.lang == "en" {
		return name[:3]
	}
	return name
}

// MonthYear writes the month that t falls in: "November 2026", or "آذر ۱۴۰۵".
func (l *Localizer) MonthYear(t time.Time, loc *time.Location) string {
	year, month, _, ok := l.calendar(in(t, loc))
	if !ok {
		return l.Date(t, loc)
	}
	return l.Digits(fmt.Sprintf("%s %d", l.months[month-1], year))
}

// Time writes the minute of the day that t is in loc, by the 24-hour clock.
func (l *Localizer) Time(t time.Time, loc *time.Location) string {
	if t.IsZero() {
		return ""
	}
	return l.Digits(in(t, loc).Format("15:04"))
}

// DateTime writes day and minute in loc: "22 November 2026, 10:14", or in
// Persian "۱ آذر ۱۴۰۵، ساعت ۱۰:۱۴". A nil loc is UTC; the zero time is "".
func (l *Localizer) DateTime(t time.Time, loc *time.Location) string {
	if t.IsZero() {
		return ""
	}
	return l.T("calendar.datetime", "Date", l.Date(t, loc), "Time", l.Time(t, loc))
}

// Number writes a whole number with the language's digits and its mark between
// thousands: 48,210 or ۴۸٬۲۱۰.
func (l *Localizer) Number(n int64) string {
	if 0 <= n && n < 1000 {
		return l.Digits(strconv.FormatInt(n, 10))
	}
	p := l.printers.Get().(*message.Printer)
	defer l.printers.Put(p)
	return p.Sprint(number.Decimal(n))
}

// Digits rewrites every decimal digit of s, be it ASCII, Arabic or Persian, in
// the language's own digits and leaves the rest alone. It is for numbers that
// take no thousands mark: years, codes, times.
func (l *Localizer) Digits(s string) string {
	zero := '0'
	if l.lang == "fa" {
		zero = '۰'
	}
	return strings.Map(func(r rune) rune {
		for _, other := range [...]rune{'0', '٠', '۰'} {
			if other <= r && r <= other+9 {
				return zero + r - other
			}
		}
		return r
	}, s)
}

func in(t time.Time, loc *time.Location) time.Time {
	if loc == nil {
		loc = time.UTC
	}
	return t.In(loc)
}

// ASCIIDigits writes Persian and Arabic digits as 0 to 9: people type numbers
// with the keyboard that they have.
func ASCIIDigits(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '۰' && r <= '۹':
			return '0' + r - '۰'
		case r >= '٠' && r <= '٩':
			return '0' + r - '٠'
		}
		return r
	}, s)
}

// Day writes the day that t falls on in loc as a field of a form takes it:
// "2026-11-24", or in Persian the Jalali "۱۴۰۵/۰۹/۰۳".
func (l *Localizer) Day(t time.Time, loc *time.Location) string {
	t = in(t, loc)
	if l.lang == "fa" {
		if y, m, d, err := jalaali.ToJalaali(t.Date()); err == nil {
			return l.Digits(fmt.Sprintf("%04d/%02d/%02d", y, m, d))
		}
	}
	return t.Format("2006-01-02")
}

// jalaliUntil is the year from which on one is of the Gregorian calendar.
const jalaliUntil = 1700

// ParseDay reads a day as people type it, year first, in any digits, of the
// Jalali calendar where the year is one of it.
func ParseDay(s string) (year int, month time.Month, day int, ok bool) {
	parts := strings.FieldsFunc(ASCIIDigits(strings.TrimSpace(s)), func(r rune) bool { return r == '-' || r == '/' || r == '.' })
	if len(parts) != 3 {
		return 0, 0, 0, false
	}
	var n [3]int
	for i, part := range parts {
		var err error
		if n[i], err = strconv.Atoi(part); err != nil || n[i] < 1 {
			return 0, 0, 0, false
		}
	}
	if n[0] >= 1000 && n[0] < jalaliUntil {
		y, m, d, err := jalaali.ToGregorian(n[0], jalaali.Month(n[1]), n[2])
		return y, m, d, err == nil
	}
	there := time.Date(n[0], time.Month(n[1]), n[2], 0, 0, 0, 0, time.UTC)
	ok = n[0] >= jalaliUntil && n[0] < 10000 && there.Month() == time.Month(n[1]) && there.Day() == n[2]
	return n[0], time.Month(n[1]), n[2], ok
}
