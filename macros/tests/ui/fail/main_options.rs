mod unknown {
    #[pleach::main(threads = 4)]
    async fn main() {}
}

mod flavor {
    #[pleach::main(flavor = "many")]
    async fn main() {}
}

mod one_thread {
    #[pleach::main(worker_threads = 4)]
    async fn main() {}
}

mod no_threads {
    #[pleach::main(flavor = "multi_thread", worker_threads = 0)]
    async fn main() {}
}

mod twice {
    #[pleach::main(init = setup, init = setup)]
    async fn main() {}
}

mod not_a_path {
    #[pleach::main(init = "setup")]
    async fn main() {}
}

fn main() {}
