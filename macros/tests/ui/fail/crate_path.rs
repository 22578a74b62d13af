mod unknown {
    #[pleach::rpc(create = pleach)]
    async fn f() -> pleach::Result<()> {
        Ok(())
    }
}

mod twice {
    #[pleach::stream(crate = pleach, crate = pleach)]
    async fn f(out: &mut pleach::StreamSender<u8>) -> pleach::Result<()> {
        Ok(())
    }
}

mod generic {
    #[pleach::main(crate = pleach::<u8>)]
    async fn main() {}
}

mod no_path {
    #[pleach::context(crate = "a b")]
    async fn f(ctx: &mut pleach::Context<(), (), ()>) -> pleach::Result<()> {
        Ok(())
    }
}

fn main() {}
