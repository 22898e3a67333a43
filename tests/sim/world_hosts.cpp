#include <utility>

#include "gossip/swim.h"
#include "tests/sim/world.h"

// Agents and hosts come and go, and ask their servers.
namespace ringagent::sim {

// ---------------------------------------------------------------- calls to servers

// One question to a server: answered once, by the server or by its deadline.
struct World::Call {
  bool answered = false;
  std::function<void(Event)> answer;
};

std::shared_ptr<World::Call> World::call(Host& host, Duration deadline, std::function<Event()> timed_out) {
  auto one = std::make_shared<Call>();
  one->answer = [this, &host, life = host.life, call = one.get()](Event event) {
    if (call->answered) return;
    call->answered = true;
    deliver(host, std::move(event), life);
  };
  after(deadline, [one, timed_out = std::move(timed_out)] {
    if (!one->answered) one->answer(timed_out());
  });
  return one;
}

// What a connection to the own server's socket file meets.
SqlError World::at_the_door(const Host& host) const {
  if (!host.server->socket_file()) {
    return {SqlErrorKind::missing, 2002,
            "Can't connect to local server through socket (2 \"No such file or directory\")"};
  }
  return {SqlErrorKind::refused, 2002, "Can't connect to local server through socket (111 \"Connection refused\")"};
}

void World::start(Host& host, const PollRequest&) {
  const Time asked = now_;
  const auto answer = [asked](SqlResult<ServerState> result) { return Polled{asked, std::move(result)}; };
  auto call = this->call(host, options_.poll_deadline, [answer] {
    return Event(answer(tl::unexpected<SqlError>(SqlError{SqlErrorKind::timeout, 0, "no answer within the deadline"})));
  });
  after(between(800us, 1500us), [this, &host, call, answer] {
    if (!host.server->listening()) {
      call->answer(answer(tl::unexpected<SqlError>(at_the_door(host))));
      return;
    }
    host.server->when_awake([&host, call, answer] {
      if (!call->answered) host.watched_start = host.server->starts();
      call->answer(answer(host.server->state()));
    });
  });
}

// It has purged nothing that the other one lacks.
bool World::gives(const ModelServer& source, const ModelServer& to) {
  return std::all_of(source.purged().begin(), source.purged().end(), [&](const auto& gone) {
    const auto mine = to.executed().find(gone.first);
    return mine != to.executed().end() && mine->second >= gone.second;
  });
}

void World::start(Host& host, const RunRequest& request) {
  // Who is no neighbour of any voter asks one of them in each round only, and knows no sooner that they are gone.
  const Duration first_asked = SwimSettings{}.round_period + 1s;
  const auto gives = [&](const Member& upstream) {
    const ModelServer* source = server_at(upstream.mysql);
    return source == nullptr || World::gives(*source, *host.server);
  };
  checker_.dispatched(host.name, host.disk, request.statement, now_, 2 * host.settings.silence + first_asked, gives);
  const std::uint64_t ticket = request.ticket;
  const Time began = now_;
  const auto answer = [this, ticket, began](std::optional<SqlError> error) {
    return Ran{ticket, std::move(error), now_ - began};
  };
  auto call = this->call(host, request.statement.deadline + 1s, [answer] {
    return Event(answer(SqlError{SqlErrorKind::timeout, 0, "no answer within the deadline"}));
  });
  if (!host.server->listening()) {
    after(500us, [call, answer, error = at_the_door(host)] { call->answer(answer(error)); });
    return;
  }
  host.server->execute(request.statement.sql,
                       [call, answer](std::optional<SqlError> error) { call->answer(answer(std::move(error))); });
}

void World::start(Host& host, const LookRequest& request) {
  const NodeId target = request.target;
  const auto failed = [target](SqlErrorKind kind, const char* text) {
    return Event(Looked{target, tl::unexpected<SqlError>(SqlError{kind, 0, text})});
  };
  auto call =
      this->call(host, options_.look_deadline, [failed] { return failed(SqlErrorKind::unreachable, "timed out"); });
  ModelServer* server = server_at(request.address);
  after(between(2ms, 4ms), [this, &host, call, server, target, failed] {
    if (server == nullptr || !path(*host.server, *server)) return;
    if (!server->listening()) {
      call->answer(failed(SqlErrorKind::refused, "Connection refused"));
      return;
    }
    server->when_awake([call, server, target] { call->answer(Looked{target, server->state()}); });
  });
}

void World::start(Host& host, const PortRequest& request) {
  const NodeId target = request.target;
  auto call = this->call(host, request.timeout, [target] { return Event(PortAnswered{target, EdgeState::silent}); });
  ModelServer* server = server_at(request.address);
  after(between(300us, 900us), [this, &host, call, server, target] {
    if (server == nullptr || !path(*host.server, *server)) return;
    if (!server->listening()) {
      call->answer(PortAnswered{target, EdgeState::refused});
      return;
    }
    server->when_awake([call, target] { call->answer(PortAnswered{target, EdgeState::ok}); });
  });
}

void World::server_gone(Host& host, bool process) {
  if (!host.node || host.watched_start != host.server->starts()) return;
  after(between(200us, 1ms), [this, &host, process, life = host.life] {
    const std::string why = process ? "mysqld has ended" : "the server closed the connection that watches it";
    deliver(host, ServerGone{process, why}, life);
  });
}

// ---------------------------------------------------------------- agents and hosts

void World::start_agent(const std::string& name) {
  Host& h = host(name);
  if (h.node || !h.powered || !read_disk(h)) return;
  ++h.life;
  h.paused_until = Time{0};
  h.held.clear();
  h.met.clear();
  h.windows.clear();
  h.crashes = h.crashes_torn = false;
  h.watched_start = 0;
  h.tick_at = Time::max();
  h.settings.key_book = h.key_book;
  h.keys = ring_of(h.key_book, h.settings.key_file);
  h.node = std::make_unique<Node>(h.settings, h.disk, options_.seed * 1000 + h.number * 100 + h.disk.boot, now_);
  h.agent_since = now_;
  arm(h);
}

// What is on its disk, and with it the next number of its life; false: an agent cannot start from that.
bool World::read_disk(Host& host) {
  if (!host.files) return ++host.disk.boot, true;
  auto found = host.files->open(host.disk.self);
  if (!found) return violation("C3: the state of " + host.name + " is lost: " + found.error().text), false;
  const auto written = std::exchange(host.torn, std::nullopt);
  if (written && *found == *written) note_durable(host, *found);
  if (host.disk.seq > 0 && *found != host.disk) violation("C3: the disk of " + host.name + " holds another state");
  host.disk = std::move(*found);
  ++host.disk.boot;
  ++host.disk.seq;
  host.files->persist(host.disk);
  return true;
}

void World::kill_agent(const std::string& name) {
  Host& h = host(name);
  h.node.reset();
  if (h.files) h.files->close();
  ++h.life;
}

void World::crash_agent(const std::string& name) {
  Host& h = host(name);
  (h.files && chance(0.5) ? h.crashes_torn : h.crashes) = true;
}

void World::wipe_state(const std::string& name) {
  kill_agent(name);
  Host& host = this->host(name);
  const DurableState before = std::exchange(host.disk, DurableState{});
  host.disk.self = fresh_id();
  host.torn.reset();
  if (host.files) host.files->wipe();
  host.key_book = {};
  host.wiped = true;
  checker_.wiped(name, before.self);
}

void World::stop_agent(const std::string& name) {
  Host& h = host(name);
  if (!h.node || now_ < h.paused_until) return;
  step(h, Command{0, "leaving", {}});
  kill_agent(name);
}

void World::pause_agent(const std::string& name, Duration span) {
  Host& h = host(name);
  if (!h.node) return;
  h.paused_at = now_;
  h.paused_until = now_ + span;
  after(span, [this, &h, life = h.life] {
    if (h.life != life || !h.node) return;
    // The loop's own guard runs first, then what has been waiting in the sockets.
    step(h, LoopLagged{now_ - h.paused_at});
    for (Event& event : std::exchange(h.held, {})) {
      if (h.node) step(h, std::move(event));
    }
  });
}

void World::upgrade_agent(const std::string& name) {
  Host& h = host(name);
  if (!h.older) return;
  const bool runs = h.node != nullptr;
  stop_agent(name);
  kill_agent(name);  // one that is paused hears nothing
  h.older = false;
  h.settings.agent_version = options_.settings.agent_version;
  h.settings.one_writer = options_.settings.one_writer;
  if (runs) start_agent(name);
}

void World::set_writers(const std::string& name, bool one) {
  Host& h = host(name);
  if (h.older) return;  // its config cannot say so
  reload(name, [one](NodeSettings& s) { s.one_writer = one; });
}

void World::reload(const std::string& name, const std::function<void(NodeSettings&)>& change) {
  Host& h = host(name);
  change(h.settings);
  if (h.node) h.node->reload(h.settings);
}

void World::command(const std::string& name, const std::string& command,
                    std::vector<std::pair<std::string, std::string>> arguments) {
  Host& h = host(name);
  if (h.node) deliver(h, Command{++order_, command, std::move(arguments)}, h.life);
}

void World::pause_server(const std::string& name, Duration span) {
  ModelServer& s = server(name);
  s.hang();
  after(span, [&s] { s.wake(); });
}

void World::kill_host(const std::string& name) {
  Host& h = host(name);
  kill_agent(name);
  h.powered = false;
  h.server->kill(false);
}

void World::start_server(const std::string& name) {
  if (host(name).powered) server(name).start();
}

void World::start_host(const std::string& name) {
  host(name).powered = true;
  start_server(name);
  start_agent(name);
}

void World::save_state(const std::string& name) {
  host(name).saved = host(name).disk;
  host(name).saved_key_book = host(name).key_book;
}

void World::set_key_file(const std::string& name, std::vector<Key> keys) {
  host(name).settings.key_file = KeyRing(std::move(keys));
}

void World::restore_state(const std::string& name) {
  kill_agent(name);
  checker_.restored(name);
  const DurableState& saved = host(name).saved;
  host(name).restored = true;
  host(name).know_better.clear();
  for (const Host& other : hosts_) {
    for (const auto& [id, seen] : other.disk.peers_seen) {
      if (id == saved.self && (seen.boot > saved.boot || seen.seq > saved.seq))
        host(name).know_better.insert(other.number);
    }
  }
  host(name).disk = saved;
  host(name).torn.reset();
  if (host(name).files) host(name).files->replace(host(name).disk);
  host(name).wiped = true;
  host(name).key_book = host(name).saved_key_book;
}

// Has a voter that was restored forgotten something of which nobody can tell it?
bool World::forgot_unnoticed() const {
  return std::any_of(hosts_.begin(), hosts_.end(), [&](const Host& host) {
    return host.restored && std::none_of(hosts_.begin(), hosts_.end(), [&](const Host& other) {
             return host.know_better.count(other.number) > 0 && other.node && linked(other, host, Net::agents);
           });
  });
}

// The copy presents itself as the original, under the original's name.
void World::copy_state(const std::string& from, const std::string& to) {
  kill_agent(to);
  checker_.restored(to);
  host(to).disk = host(from).disk;
  if (host(to).files) host(to).files->replace(host(to).disk);
  host(to).key_book = host(from).key_book;
  host(to).settings.name = host(from).settings.name;
  host(to).by_hand = true;
}

void World::move_host(const std::string& name) {
  kill_host(name);
  Host& h = host(name);
  const std::string there = address_host(h.number + 100);
  h.settings.gossip.host = h.settings.mysql.host = there;
  h.server->move_to(h.settings.mysql);
}

void World::operate(const std::string& name, const std::string& sql) {
  note(Seen::Kind::server, name, "by hand: " + sql);
  Host& h = host(name);
  const auto error = h.server->listening() ? h.server->operate(sql) : at_the_door(h);
  if (error) return note(Seen::Kind::server, name, "by hand: " + error->text);
  h.by_hand = h.by_hand || !sql.starts_with("SET ");
}

}  // namespace ringagent::sim
