package widget_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

const (
	formA = "01932f6e-0000-7000-8000-00000000000a"
	formB = "01932f6e-0000-7000-8000-00000000000b"
)

type object = map[string]any

// service plays the other side of the widget's protocol and keeps what it was sent.
type service struct {
	origin string

	mu     sync.Mutex
	tokens int
	posts  []url.Values
	heads  []http.Header
	gets   []*http.Request
	others []string
	spec   func(w http.ResponseWriter, r *http.Request, spec object) (answered bool) // nil changes nothing
	post   http.HandlerFunc                                                          // nil thanks everybody
}

// start serves the widget on one origin and the host page, under a strict
// policy, on another. It returns the address of the host page.
func start(t *testing.T, host string) (*service, string) {
	t.Helper()
	s := &service{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /widget.js", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
		http.ServeFile(w, r, "widget.js")
	})
	mux.HandleFunc("GET /f/{form}", s.serveSpec)
	mux.HandleFunc("POST /f/{form}", s.servePost)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.others = append(s.others, r.Method+" "+r.URL.Path)
		http.NotFound(w, r)
	})
	assent := httptest.NewServer(mux)
	t.Cleanup(assent.Close)
	t.Cleanup(assent.CloseClientConnections)
	s.origin = strings.Replace(assent.URL, "127.0.0.1", "localhost", 1)

	pages := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", fmt.Sprintf("default-src 'none'; script-src %[1]s; connect-src %[1]s", s.origin))
		fmt.Fprint(w, strings.ReplaceAll(host, "ASSENT", s.origin))
	}))
	t.Cleanup(pages.Close)
	return s, pages.URL + "/readers?utm_source=x#top"
}

// hostPage is a page in lang with the given body.
func hostPage(lang, body string) string {
	return `<!doctype html><html lang="` + lang + `"><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
		`<title>Host</title><body><main><h1>A page of somebody else</h1>` + body + `</main></body></html>`
}

// snippet is what a marketer pastes, with more attributes for the script if given.
func snippet(form string, attributes ...string) string {
	return fmt.Sprintf(`<script src="ASSENT/widget.js" data-form="%[1]s" %[2]s async></script>
<a href="ASSENT/f/%[1]s" data-assent-link>Subscribe by e-mail</a>`, form, strings.Join(attributes, " "))
}

func (s *service) serveSpec(w http.ResponseWriter, r *http.Request) {
	form, isJSON := strings.CutSuffix(r.PathValue("form"), ".json")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	s.mu.Lock()
	s.tokens++
	spec := specOf(r.URL.Query().Get("lang"))
	spec["form"], spec["token"] = form, fmt.Sprintf("token-%d", s.tokens)
	spec["link"] = s.origin + "/f/" + form
	spec["privacy"].(object)["url"] = s.origin + "/privacy"
	change := s.spec
	s.gets = append(s.gets, r.Clone(r.Context()))
	s.mu.Unlock()
	if !isJSON {
		http.NotFound(w, r)
		return
	}
	if change != nil && change(w, r, spec) {
		return
	}
	answer(w, http.StatusOK, spec)
}

func (s *service) servePost(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	r.ParseForm()
	s.mu.Lock()
	s.posts, s.heads = append(s.posts, maps.Clone(r.PostForm)), append(s.heads, r.Header.Clone())
	post := s.post
	s.mu.Unlock()
	if post != nil {
		post(w, r)
		return
	}
	message := "Almost there. We have sent a letter to your address; press the button in it to confirm."
	if r.PostForm.Get("lang") == "fa" {
		message = "یک قدم مانده است. نامه‌ای به نشانی شما فرستادیم؛ دکمهٔ درون آن را بزنید تا تأیید شود."
	}
	answer(w, http.StatusOK, object{"ok": true, "message": message, "redirect": nil})
}

// sent returns the posts so far and the headers they came with.
func (s *service) sent() ([]url.Values, []http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.posts, s.heads
}

// answers sets what a POST is answered with.
func (s *service) answers(post http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.post = post
}

func answer(w http.ResponseWriter, status int, body object) {
	kind := "application/json"
	if status >= 400 {
		kind = "application/problem+json"
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

// specOf is the form of the tests: two fields, a choice, two topics, two tracking permissions.
func specOf(lang string) object {
	if lang == "fa" {
		return object{
			"version": 3, "lang": "fa", "dir": "rtl", "brand": "کتاب بهاران",
			"title": "نامهٔ خوانندگان", "intro": "کتاب‌های تازه و یک جستار، از کتاب‌فروشی ما به صندوق نامهٔ شما. هر وقت بخواهید، با یک فشار دکمه متوقف می‌شود.",
			"fields": []object{
				{"name": "email", "type": "email", "label": "نشانی ایمیل", "required": true, "autocomplete": "email", "maxlength": 254},
				{"name": "name", "type": "text", "label": "نام شما", "autocomplete": "given-name", "maxlength": 80},
			},
			"boxes_legend": "چه چیزی برایتان بفرستیم؟",
			"boxes": []object{
				{"name": "topic:news", "kind": "topic", "label": "نامهٔ خوانندگان را برایم بفرستید", "note": "حداکثر هفته‌ای یک بار"},
				{"name": "topic:offers", "kind": "topic", "label": "پیشنهادهای ویژهٔ مشتریان را به من خبر دهید", "note": "حداکثر ماهی دو بار"},
				{"name": "topic:opens", "kind": "tracking", "label": "می‌توانید ببینید که نامه‌ها را باز می‌کنم"},
				{"name": "topic:clicks", "kind": "tracking", "label": "می‌توانید ببینید روی کدام پیوندها می‌زنم"},
			},
			"tracking_legend": "اگر بخواهید؛ نامه‌ها بدون این هم می‌رسند",
			"honeypot":        "website", "button": "عضو می‌شوم",
			"privacy": object{"label": "حریم خصوصی"},
			"texts": object{
				"sending": "در حال فرستادن…", "error": "فرستاده نشد. لطفاً کمی بعد دوباره بکوشید.", "close": "بستن", "open": "نامه‌های ما را بگیرید",
				"required": "لطفاً این را پر کنید.", "invalid_email": "این نشانی ایمیل کامل نیست.", "choose_one": "لطفاً دست‌کم یکی را انتخاب کنید.",
			},
		}
	}
	return object{
		"version": 3, "lang": "en", "dir": "ltr", "brand": "Baharan Books",
		"title": "The readers’ letter", "intro": "New books and one essay, from our shop to your inbox. One press of a button stops it, whenever you like.",
		"fields": []object{
			{"name": "email", "type": "email", "label": "E-mail address", "required": true, "autocomplete": "email", "maxlength": 254},
			{"name": "name", "type": "text", "label": "Your name", "autocomplete": "given-name", "maxlength": 80},
		},
		"boxes_legend": "What may we send you?",
		"boxes": []object{
			{"name": "topic:news", "kind": "topic", "label": "Send me the readers’ letter", "note": "Once a week at most"},
			{"name": "topic:offers", "kind": "topic", "label": "Tell me about offers for customers", "note": "Twice a month at most"},
			{"name": "topic:opens", "kind": "tracking", "label": "You may see that I open the letters"},
			{"name": "topic:clicks", "kind": "tracking", "label": "You may see which links I follow"},
		},
		"tracking_legend": "Only if you like; the letters come without it too",
		"honeypot":        "website", "button": "Subscribe",
		"privacy": object{"label": "Privacy"},
		"texts": object{
			"sending": "Sending…", "error": "That did not go through. Please try again in a moment.", "close": "Close", "open": "Get our letters",
			"required": "Please fill this in.", "invalid_email": "This address is not complete.", "choose_one": "Please choose at least one.",
		},
	}
}
