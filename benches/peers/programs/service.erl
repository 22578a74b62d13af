%% As `examples/supervision.rs`: a worker that dies of every third item, and is started again, until that happens too
%% often. Erlang's processes are not those of the system: a crash in C code would end all of them.
%%
%%     erlc service.erl && erl -noshell -s service main
-module(service).
-behaviour(supervisor).
-export([main/0, init/1, start_worker/0, worker/0]).

main() ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    {ok, Supervisor} = supervisor:start_link({local, top}, ?MODULE, []),
    [handle(Item, Supervisor) || Item <- lists:seq(1, 100)].

init([]) ->
    Worker = #{id => worker, start => {?MODULE, start_worker, []}, restart => permanent},
    {ok, {#{strategy => one_for_one, intensity => 3, period => 30}, [Worker]}}.

start_worker() ->
    Pid = spawn_link(?MODULE, worker, []),
    true = register(worker, Pid),
    {ok, Pid}.

worker() ->
    receive
        {work, Item, _From} when Item rem 3 =:= 0 -> exit(poison);
        {work, Item, From} -> From ! {done, Item, self()}
    end,
    worker().

%% There is no call that waits for a restart, so this asks again until the name is back.
handle(Item, Supervisor) ->
    receive
        {'EXIT', Supervisor, Reason} ->
            io:format("in the end: ~p~n", [Reason]),
            halt()
    after 0 -> ok
    end,
    case whereis(worker) of
        undefined ->
            timer:sleep(1),
            handle(Item, Supervisor);
        Pid ->
            Watch = monitor(process, Pid),
            Pid ! {work, Item, self()},
            receive
                {done, Item, By} -> io:format("item ~p was done by ~p~n", [Item, By]);
                {'DOWN', Watch, process, _, Why} -> io:format("item ~p is skipped: ~p~n", [Item, Why])
            end,
            demonitor(Watch, [flush])
    end.
