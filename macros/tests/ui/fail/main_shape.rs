mod not_async {
    #[pleach::main]
    fn main() {}
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
