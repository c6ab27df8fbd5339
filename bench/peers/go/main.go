// A hub for each room and two pumps for each connection, after the design that gorilla's own chat teaches. One frame
// holds one message, and all readers share its encoding.
package main

import (
	"log"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	writeWait      = 10 * time.Second
	pongWait       = 60 * time.Second
	pingPeriod     = pongWait * 9 / 10
	maxMessageSize = 64 * 1024
	sendBuffer     = 256
)

var upgrader = websocket.Upgrader{
	ReadBufferSize:  1024,
	WriteBufferSize: 1024,
	WriteBufferPool: &sync.Pool{},
}

// A reader whose buffer is full is dropped: it may hold up nobody.
type hub struct {
	readers    map[*client]bool
	broadcast  chan *websocket.PreparedMessage
	register   chan *client
	unregister chan *client
}

type client struct {
	hub   *hub
	conn  *websocket.Conn
	send  chan *websocket.PreparedMessage
	reads bool
}

type hubs struct {
	lock   sync.Mutex
	byRoom map[string]*hub
}

func main() {
	in, err := websocket.NewPreparedMessage(websocket.TextMessage, []byte("in"))
	if err != nil {
		log.Fatal(err)
	}
	hubs := hubs{byRoom: make(map[string]*hub)}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		room, place, _ := strings.Cut(r.URL.Path[1:], "/")
		conn, err := upgrader.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		c := &client{
			hub:   hubs.of(room),
			conn:  conn,
			send:  make(chan *websocket.PreparedMessage, sendBuffer),
			reads: place == "read",
		}
		c.send <- in
		if c.reads {
			c.hub.register <- c
		}
		go c.writePump()
		go c.readPump()
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}

func (h *hubs) of(room string) *hub {
	h.lock.Lock()
	defer h.lock.Unlock()
	found := h.byRoom[room]
	if found == nil {
		found = &hub{
			readers:    make(map[*client]bool),
			broadcast:  make(chan *websocket.PreparedMessage),
			register:   make(chan *client),
			unregister: make(chan *client),
		}
		h.byRoom[room] = found
		go found.run()
	}
	return found
}

func (h *hub) run() {
	for {
		select {
		case c := <-h.register:
			h.readers[c] = true
		case c := <-h.unregister:
			h.drop(c)
		case message := <-h.broadcast:
			for c := range h.readers {
				select {
				case c.send <- message:
				default:
					h.drop(c)
				}
			}
		}
	}
}

func (h *hub) drop(c *client) {
	if h.readers[c] {
		delete(h.readers, c)
		close(c.send)
	}
}

func (c *client) readPump() {
	defer func() {
		if c.reads {
			c.hub.unregister <- c
		} else {
			close(c.send)
		}
		c.conn.Close()
	}()
	c.conn.SetReadLimit(maxMessageSize)
	c.conn.SetReadDeadline(time.Now().Add(pongWait))
	c.conn.SetPongHandler(func(string) error {
		return c.conn.SetReadDeadline(time.Now().Add(pongWait))
	})
	for {
		_, text, err := c.conn.ReadMessage()
		if err != nil {
			return
		}
		if c.reads {
			continue
		}
		message, err := websocket.NewPreparedMessage(websocket.TextMessage, text)
		if err != nil {
			return
		}
		c.hub.broadcast <- message
	}
}

func (c *client) writePump() {
	ticker := time.NewTicker(pingPeriod)
	defer func() {
		ticker.Stop()
		c.conn.Close()
	}()
	for {
		select {
		case message, open := <-c.send:
			c.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if !open {
				c.conn.WriteMessage(websocket.CloseMessage, nil)
				return
			}
			if err := c.conn.WritePreparedMessage(message); err != nil {
				return
			}
		case <-ticker.C:
			c.conn.SetWriteDeadline(time.Now().Add(writeWait))
			if err := c.conn.WriteMessage(websocket.PingMessage, nil); err != nil {
				return
			}
		}
	}
}
