mod not_async {
    #[pleach::main]
    fn main() {}
}

mod another_around {
    #[allow(unused)]
    #[pleach::main]
    #[tokio::main]
    async fn main() {}
}

mod arguments {
    #[pleach::main]
    async fn main(arguments: Vec<String>) {}
}

mod generic {
    #[pleach::main]
    async fn main<T>() {}
}

fn main() {}
